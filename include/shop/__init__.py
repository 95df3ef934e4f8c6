"""The example's own: the warehouse, how files get into it, checks of its marts, a regression."""
