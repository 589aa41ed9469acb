"""Backends that run graphs."""

from .base import Backend, Graph, OpenGraph
from .registry import find_backend

__all__ = ["Backend", "Graph", "OpenGraph", "find_backend"]
