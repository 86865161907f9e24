"""Why: which attributes a fault shares, which service it comes from, and what to do about it."""
