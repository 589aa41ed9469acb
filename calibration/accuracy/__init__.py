"""Accuracy of lower precisions and the search for good plans."""
