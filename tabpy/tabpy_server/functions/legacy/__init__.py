"""Functions in a state folder of TabPy's."""
