"""Restoration of pictures of any size, piece by piece."""
