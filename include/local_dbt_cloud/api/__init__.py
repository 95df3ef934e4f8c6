"""The HTTP layer: one table of routes, request validation, and JSON responses."""
