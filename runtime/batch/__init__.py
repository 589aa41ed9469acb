"""Restoration of many files with a report."""
