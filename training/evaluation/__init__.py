"""Scores of restored pictures and of masks."""
