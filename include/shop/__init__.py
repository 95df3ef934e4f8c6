"""The example shop: its warehouse, a loader, checks of its marts, and a regression."""
