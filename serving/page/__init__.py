"""Static page for a browser."""
