"""C++ sources of the TensorRT plugin library.

All operators share them; see README.md.
"""
