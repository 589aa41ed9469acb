"""Benchmarks that need an NVIDIA GPU, and what the tests marked `gpu` share with them. None of it has run yet."""
