"""Calibration pictures and the ranges found on them."""
