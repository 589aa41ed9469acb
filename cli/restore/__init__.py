"""Verb `restore`, its options and tables."""
