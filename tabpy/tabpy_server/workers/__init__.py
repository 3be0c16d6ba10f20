"""Running people's Python: a pool of processes that can be killed at any instruction.

`pool` and `process` run in the web process, `template` in the template process, `child`, `script`
and `results` in script workers; `wire` is spoken on both sides.
"""
