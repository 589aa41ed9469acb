"""Markdown report of an evaluation of masks alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from .maps import MASK_WORDS
from .markdown import (
    COST_WORDS,
    COSTS,
    count_pictures,
    escape_text,
    format_number,
    format_percent,
    label_models,
    link_name,
    list_chosen,
    render_costs,
    render_gallery,
    render_table,
)

BER_WORDS = (
    "BER, the balanced error rate, is the mean of the share of the distorted pixels that were missed and the share of "
    "the others that were found. Shadow papers print it over all pixels of a set together."
)
"""Explanation of BER, for reports."""

_COLUMNS = ("distorted", "true", "precision", "recall", "IoU", "BER")


def render_mask_report(report: Mapping[str, Any], pictures: Mapping[str, str] | None = None) -> str:
    """Render a report as Markdown.

    Args:
        report: result of `masks.evaluate_masks`. It may also hold `compare` (the reports of peers) and `only` (None, or
            the names of the pictures that were chosen).
        pictures: name of a picture -> path of its montage, relative to the place of the report.
    """
    models, pictures = [report, *report.get("compare", [])], pictures or {}
    labels = [escape_text(label) for label in label_models([one["model"] for one in models])]
    title = labels[0]
    labels[0] = f"**{title}**"
    parts = [
        f"# Masks: {title}",
        f"{count_pictures(report['count'])} without clean ones. Higher is better, except for BER.",
        _render_models(models, labels),
        *([COST_WORDS] if "cost" in report else []),
        "## Each picture",
        _render_pictures(report["images"], pictures),
        "## Setting",
        _setting(report, models, labels, bool(pictures)),
        *render_gallery(
            report["images"], pictures, lambda image: image["mask"]["iou"], ("lowest", "median", "highest"), "IoU"
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _render_models(models: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> str:
    """Render two rows for each model.

    One is the mean over pictures, the other counts all pixels together.
    """
    costs = [title for title, _ in COSTS.values()] if "cost" in models[0] else []
    rows = [["", *_COLUMNS, *costs]]
    for label, one in zip(labels, models, strict=True):
        pooled, cost = one["mask_pooled"], render_costs(one) if costs else []
        rows.append([f"{label}, mean over pictures", *_cells(one, one["mask"]), *cost])
        rows.append([f"{label}, all pixels together", *_cells(pooled, pooled), *cost])
    return render_table(rows)


def _render_pictures(images: Sequence[Mapping[str, Any]], pictures: Mapping[str, str]) -> str:
    """Render one row for each picture."""
    rows = [["picture", "size", *_COLUMNS]]
    for image in images:
        size = f"{image['width']}x{image['height']}"
        rows.append([link_name(image["name"], pictures), size, *_cells(image, image["mask"])])
    return render_table(rows)


def _cells(density: Mapping[str, float], mask: Mapping[str, float]) -> list[str]:
    """Write the cells of `_COLUMNS`."""
    return [
        format_percent(density["density"]),
        format_percent(density["true_density"]),
        *(format_number(mask[key], 3) for key in ("precision", "recall", "iou")),
        format_percent(mask["ber"], 2),
    ]


def _setting(
    report: Mapping[str, Any], models: Sequence[Mapping[str, Any]], labels: Sequence[str], pictures: bool
) -> str:
    """Render the list that says how the masks were measured."""
    lines = [
        *list_chosen(report),
        "Masks alone were compared, at their own size; the true ones were read from files.",
        BER_WORDS,
        *(f"{label} is `{one['model']}`." for label, one in zip(labels, models, strict=True)),
        f"SHA-256 over the names and contents of the files: `{report['files_sha256']}`.",
        *([f"Masks: {MASK_WORDS}."] if pictures else []),
    ]
    return "\n".join(f"- {line}" for line in lines)
