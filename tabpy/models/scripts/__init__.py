"""The predeployed functions, a module each, under the names that TabPy gave them.

Each function carries its imports and helpers inside itself: what is deployed is the function alone,
and the server that runs it need not have this package.
"""
