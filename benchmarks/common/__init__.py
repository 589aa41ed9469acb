"""Measuring and plotting for all benchmarks."""
