"""Verb `models`, which lists the shipped weights."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from .shared.options import Json
from .shared.output import deliver

EXAMPLES = """\b
Examples:
  spair models
  spair models --json
"""


def models(as_json: Json = False) -> None:
    """List the shipped weights.

    Their names stand for a model: spair restore rain photos --out restored. Scores are those of the model cards, each
    with the score of the degraded pictures before it.
    """
    from ..runtime.shipped.listing import describe_models

    deliver(describe_models(), as_json, _show)


def _show(report: dict[str, Any], console: Console) -> None:
    facts = Table("name", "task", "preset", box=None, pad_edge=False)
    scores = Table("name", "measured on", "score", box=None, pad_edge=False)
    for table, titles in ((facts, ("parameters", "size")), (scores, ("before", "after"))):
        for title in titles:
            table.add_column(title, justify="right")
    facts.add_column("bundle")
    for model in report["models"]:
        names = (model["name"], model["task"], model["preset"])
        size = f"{model['bytes'] / 1e6:.1f} MB"
        place = "in the cache" if model["cached"] else "made on first use"
        facts.add_row(*names, f"{model['parameters']:,}", size, place)
        for score in model["scores"]:
            unit = f" {score['unit']}" if score["unit"] else ""
            values = (f"{score['input']}{unit}", f"{score['restored']}{unit}")
            scores.add_row(model["name"], score["pictures"], score["measure"], *values)
    console.print(facts)
    console.print()
    console.print(scores)
