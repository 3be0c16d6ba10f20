"""The web process's side: its script workers, and the jobs that wait for them."""
