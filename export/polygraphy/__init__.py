"""Folder that NVIDIA's Polygraphy takes without any of our code."""
