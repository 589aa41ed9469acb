"""Facts of the graphs that engines run."""
