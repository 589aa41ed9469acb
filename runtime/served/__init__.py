"""Served graphs, ONNX files with a network in bytes."""
