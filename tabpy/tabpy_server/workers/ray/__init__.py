"""Script workers on the nodes of a Ray cluster, in place of those of this machine.

`seat` runs on a node, in an actor; all else in the web process.
"""
