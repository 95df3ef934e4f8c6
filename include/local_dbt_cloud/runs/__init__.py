"""Run execution: the queue, schedules, steps, and dbt itself. It does not depend on HTTP."""
