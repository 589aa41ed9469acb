"""Door for HTTP requests."""
