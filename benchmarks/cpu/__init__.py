"""Benchmarks of the processor's own ways.

These are packings of ONNX Runtime, and precisions of the backend cpu.
"""
