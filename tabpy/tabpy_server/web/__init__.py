"""HTTP: routes, handlers and what they share."""
