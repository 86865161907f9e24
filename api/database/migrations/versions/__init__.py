"""Versions, oldest first by name."""
