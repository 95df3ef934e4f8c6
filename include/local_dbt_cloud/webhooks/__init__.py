"""Webhooks: subscriptions, their events, and the thread that sends them."""
