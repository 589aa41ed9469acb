"""Facts about ONNX files, and their lean form, without a package for them."""

from .facts import GraphFacts, read_graph
from .lean import make_lean
from .outside import list_outside
from .reach import Reach, find_reach

__all__ = ["GraphFacts", "Reach", "find_reach", "list_outside", "make_lean", "read_graph"]
