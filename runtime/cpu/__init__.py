"""Backend of kernels for the processor."""
