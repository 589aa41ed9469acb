"""Kit for a Jetson board, packed on another machine."""
