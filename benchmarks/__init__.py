"""This server and TabPy 2.16.0 measured side by side: `python -m benchmarks`."""
