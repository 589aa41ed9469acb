"""Verb `calibrate`, its options, table and page."""
