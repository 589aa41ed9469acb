"""Measurements of TensorRT engines, in the terms of trtexec."""
