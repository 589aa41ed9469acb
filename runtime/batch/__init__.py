"""Restoration of many files with a report."""

from .jobs import run_jobs
from .planning import plan_jobs
from .saving import Saving

__all__ = ["Saving", "plan_jobs", "run_jobs"]
