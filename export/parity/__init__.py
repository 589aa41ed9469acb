"""Comparison of exported graphs with PyTorch."""
