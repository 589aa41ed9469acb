"""Networks other than SPAIR, adapted for the export."""

from .adapter import Adapted
from .interface import ForeignInterface
from .loading import build_network, fill_network, load_foreign
from .probing import Adaptation, adapt, foreign_spec
from .reach import Reach, measure_reach

__all__ = [
    "Adaptation",
    "Adapted",
    "ForeignInterface",
    "Reach",
    "adapt",
    "build_network",
    "fill_network",
    "foreign_spec",
    "load_foreign",
    "measure_reach",
]
