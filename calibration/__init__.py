"""Reduced precision, written into the graphs: FP16 and INT8 by measured sensitivity, held to an accuracy gate."""

from .calibrate import calibrate_bundle
from .options import Options

__all__ = ["Options", "calibrate_bundle"]
