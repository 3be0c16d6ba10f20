"""One list of requests, sent to this server and to TabPy; each difference has its reason.

`requests/*.toml` is the list, in the order it is sent. `python -m tests.compat.replay` prints what
both reply, side by side.
"""
