"""Averages over mirrored pictures."""

from .averaging import FLIPS, average_flips, check_flips

__all__ = ["FLIPS", "average_flips", "check_flips"]
