"""Names of TabPy's that people's programs use."""
