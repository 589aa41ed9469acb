"""Training data: pictures, pairs and samples."""
