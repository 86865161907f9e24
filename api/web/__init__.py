"""HTTP as every route speaks it: problems, bounds, pages, tags and forms of answers."""
