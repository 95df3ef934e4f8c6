"""The jaffle shop's source files, as its own system delivers them, and what made them."""
