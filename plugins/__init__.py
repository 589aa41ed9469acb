"""Sparse operators of the domain `spair`, their kernels and plugins.

Each operator has a folder with its definition as a readable reference and with what accelerates it. The references are
the contract: the PyTorch operators, the ONNX function bodies and every kernel are tested against them. This package
knows no network.
"""
