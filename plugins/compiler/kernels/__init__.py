"""Compilation of Triton kernels to machine code."""
