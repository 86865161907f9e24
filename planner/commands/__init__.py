"""What the commands do: read, call, show. One module a command; the basic ones share one."""
