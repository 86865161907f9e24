"""Who asks, by key or token, and how often."""
