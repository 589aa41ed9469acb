"""Checks of manifests, their digests and their entries."""
