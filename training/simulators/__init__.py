"""Seeded degradation simulators: each takes a clean picture and returns the degraded one."""
