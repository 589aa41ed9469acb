"""Bounds on files, values and memory, checked before the work."""
