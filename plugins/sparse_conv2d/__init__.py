"""SparseConv2d: convolution that reads and writes distorted pixels only."""
