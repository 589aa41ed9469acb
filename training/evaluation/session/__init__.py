"""Sessions that measure models on chosen pictures."""
