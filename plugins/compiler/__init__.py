"""Ahead-of-time compiler for kernels and library, without a GPU."""
