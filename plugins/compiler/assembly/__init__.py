"""Counts of instructions in the machine code of kernels."""
