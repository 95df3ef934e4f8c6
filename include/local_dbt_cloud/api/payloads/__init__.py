"""Rows as the JSON of CONTRACT.md, section 3, one module per noun."""
