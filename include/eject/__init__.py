"""``make eject``: turn this repository into a project for your own dbt Cloud account."""
