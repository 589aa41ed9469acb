"""Kernels to machine code ahead of time, and the plugin library around them; needs no GPU."""
