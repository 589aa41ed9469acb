"""Benchmarks that need an NVIDIA GPU.

The tests marked `gpu` share parts of them. `plugins` and `training` have run on an H100 (docs/results/); `latency`,
which needs TensorRT, has run on an emulated GPU only.
"""
