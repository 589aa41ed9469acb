"""Facts of graphs."""
