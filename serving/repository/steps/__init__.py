"""Models for Triton's Python backend, which are copied into repositories."""
