"""SparseCompose, which adds the residual to distorted pixels."""
