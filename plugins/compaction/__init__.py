"""Mask compaction: the list of active pixels that the sparse operators share."""
