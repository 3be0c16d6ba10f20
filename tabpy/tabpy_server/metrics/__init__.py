"""What the server counts, and its figures for Prometheus."""
