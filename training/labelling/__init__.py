"""Labelling of photographs with masks by taught networks."""
