"""Passes that make operators share lists of active pixels."""
