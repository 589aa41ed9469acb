"""Watts, and joules for each picture."""
