"""The example shop: its warehouse, a loader, checks and versions of its marts, a regression."""
