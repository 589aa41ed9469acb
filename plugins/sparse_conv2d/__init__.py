"""SparseConv2d, a convolution that reads and writes distorted pixels only."""
