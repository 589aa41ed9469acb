"""Arrays in the order of the kernels."""
