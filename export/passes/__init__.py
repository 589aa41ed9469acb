"""Passes that rewrite ONNX graphs."""
