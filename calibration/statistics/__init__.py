"""Calibration pictures and the ranges of activations on them."""
