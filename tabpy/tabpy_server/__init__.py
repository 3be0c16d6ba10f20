"""The server: web processes, script workers and what they share."""
