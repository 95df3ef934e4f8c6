"""Executes: queues and schedules runs, plans their steps and runs dbt. It knows no HTTP."""
