"""The handlers of all endpoints, one module per resource."""
