"""Verb `repository` with its options."""
