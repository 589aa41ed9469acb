"""ONNX files that other programs serve."""
