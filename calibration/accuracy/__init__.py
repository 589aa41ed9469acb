"""Accuracy of reduced precision, and the search for what keeps it."""
