"""Facts about ONNX files and faster forms of graphs.

No package for ONNX is needed.
"""

from .facts import GraphFacts, read_graph
from .integers import make_integer
from .lean import make_lean
from .outside import list_outside
from .reach import Reach, find_reach
from .thresholds import THRESHOLD, find_logit_of, free_threshold

__all__ = [
    "THRESHOLD",
    "GraphFacts",
    "Reach",
    "find_logit_of",
    "find_reach",
    "free_threshold",
    "list_outside",
    "make_integer",
    "make_lean",
    "read_graph",
]
