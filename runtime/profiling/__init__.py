"""Measurements of time and memory, by stage and mask density."""
