"""Benchmarks that need an NVIDIA GPU.

The tests marked `gpu` share parts of them. `plugins` has run on an H100 (docs/results/gpu.md); `latency` and all else
that needs TensorRT engines has not run yet.
"""
