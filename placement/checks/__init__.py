"""Rules of a plan that are a check of their own, called by `placement.verify`."""
