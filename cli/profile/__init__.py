"""Verb `profile`, its options, tables and page."""
