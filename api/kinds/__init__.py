"""What jobs do, one module a kind."""
