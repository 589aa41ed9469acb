"""Serving of bundles over HTTP and gRPC."""
