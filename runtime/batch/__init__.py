"""Restoration of many files with a report."""

from .jobs import run_jobs
from .planning import plan_jobs

__all__ = ["plan_jobs", "run_jobs"]
