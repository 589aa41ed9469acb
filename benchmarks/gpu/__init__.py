"""Benchmarks that need an NVIDIA GPU, and what the tests marked `gpu` share with them.

`plugins` has run on an H100 (docs/results/gpu.md); `latency`, and all else that runs TensorRT engines, has not yet.
"""
