"""HTTP handlers, a module a route."""
