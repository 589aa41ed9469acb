"""Passes for engines, with shared lists of active pixels."""
