"""Networks, layers and GPUs that the benchmarks are about."""
