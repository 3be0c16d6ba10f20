"""The page: what a person sees in a browser, a view at each address."""
