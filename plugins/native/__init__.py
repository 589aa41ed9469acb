"""C++ sources of the TensorRT plugin library that all operators share; see README.md."""
