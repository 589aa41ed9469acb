"""Backends that run graphs, and the list of them."""
