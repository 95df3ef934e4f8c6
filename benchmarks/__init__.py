"""Benchmarks: ``python -m benchmarks [NAME …]``; README.md has the results."""
