"""Speaks HTTP: one table of routes, what each call may say, and the JSON that answers it."""
