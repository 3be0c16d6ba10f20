"""TabPy's helpers for programs that deploy a function of their own."""
