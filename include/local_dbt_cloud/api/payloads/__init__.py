"""JSON payloads of rows (CONTRACT.md, section 3), one module per resource."""
