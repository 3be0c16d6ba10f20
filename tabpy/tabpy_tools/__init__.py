"""The client's side: deploy functions to a TabPy server, and query them."""
