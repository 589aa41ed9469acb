"""Cameras and streams that a browser sees restored."""
