"""Calibration of bundles to FP16 and INT8."""

from .calibrate import calibrate_bundle
from .options import Options

__all__ = ["Options", "calibrate_bundle"]
