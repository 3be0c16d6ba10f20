"""The script worker: the process that runs people's Python."""
