"""Storage: the tables, the schemas of their content, and how they change."""
