"""Remembers: the tables, what may stand in them, and how they change."""
