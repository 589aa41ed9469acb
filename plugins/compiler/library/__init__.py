"""Linking of the plugin library around compiled kernels."""
