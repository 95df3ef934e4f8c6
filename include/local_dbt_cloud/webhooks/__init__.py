"""Webhooks: who wants to hear of a run, what is told, and the thread that tells it."""
