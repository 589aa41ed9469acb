"""Mask compaction, which lists active pixels for the operators."""
