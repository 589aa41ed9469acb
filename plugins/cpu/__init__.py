"""C++ that the kernels of the processor share; see README.md."""
