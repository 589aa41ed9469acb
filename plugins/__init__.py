"""One folder per operator of domain `spair`: its definition as a readable reference, and what accelerates it.

The references are the contract. The PyTorch operators, the ONNX function bodies and every kernel are tested
against them. This package knows no network.
"""
