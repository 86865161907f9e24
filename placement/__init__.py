"""Placement as arrays: what goes where on how many machines, with a proven bound. See `placement.problem`."""
