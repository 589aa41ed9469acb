"""Arguments, measuring and plotting that all benchmarks share."""
