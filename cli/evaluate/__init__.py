"""Verb `evaluate`, its options and tables."""
