"""What is fast here, measured: ``python -m benchmarks [NAME …]``; README.md has the figures."""
