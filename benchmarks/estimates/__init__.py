"""Estimates of times on GPUs, fitted to an H100's."""
