"""Background processes, restarted by supervisord when they crash."""
