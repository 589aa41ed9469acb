"""Facts about ONNX files, read without a package for them."""

from .facts import GraphFacts, read_graph
from .outside import list_outside
from .reach import Reach, find_reach

__all__ = ["GraphFacts", "Reach", "find_reach", "list_outside", "read_graph"]
