"""Pages for people: made on the server, lively with a little script of our own, nothing from elsewhere."""
