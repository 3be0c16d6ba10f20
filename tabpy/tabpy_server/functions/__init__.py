"""Deployed functions: storing, finding and deploying them."""
