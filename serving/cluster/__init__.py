"""Restoration of folders on several machines, by Ray Data."""
