"""The process that script workers are forked from."""
