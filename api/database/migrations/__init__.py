"""One module a version of the store, in order; each brings the tables of the one before to its own."""
