"""Life of the process, its streams and its signals."""
