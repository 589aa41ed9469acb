"""Child processes that run TensorRT."""
