"""Verb `demo`, its tables and report."""
