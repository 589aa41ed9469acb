"""Benchmarks that need an NVIDIA GPU.

The tests marked `gpu` share parts of them. `plugins` has run on an H100 (docs/h100.md); `latency` and all else that
needs TensorRT's engines has not run yet.
"""
