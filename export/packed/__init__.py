"""Rewriting of graphs to packed rows of distorted pixels."""
