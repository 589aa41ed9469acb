"""SparseNonLocal, attention from distorted pixels to clean ones."""
