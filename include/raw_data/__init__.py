"""The jaffle shop's source files, and the program that generated them."""
