"""Conversion of graphs to FP16 and INT8."""
