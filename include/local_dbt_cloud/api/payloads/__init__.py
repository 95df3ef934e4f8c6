"""Rows as the JSON of the contract, one module per noun."""
