"""Door for gRPC requests."""
