"""Temporary files and folders: their names, their owners, and their removal."""
