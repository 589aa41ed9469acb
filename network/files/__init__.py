"""Weights in the files of other trainers."""
