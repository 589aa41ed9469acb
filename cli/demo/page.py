"""HTML report of the demo, pictures included."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from ..pages.parts import render_head, render_page, render_rows
from ..pages.pictures import embed_picture
from ..shared.output import decibel
from .precisions import HEAD, precision_cells, precision_notes

if TYPE_CHECKING:
    from ...training.evaluation.samples import SampleResult

GAIN = 4
"""Factor by which errors are amplified to be seen."""

RAINS = {"dry": "Dry", "light": "Light rain", "heavy": "Heavy rain"}


def render_report(report: dict[str, Any], trials: Sequence[SampleResult]) -> str:
    """Render the report as HTML.

    Every text in it is escaped.

    Args:
        report: the JSON of `spair demo`.
        trials: the samples in the order of its rows.
    """
    from ...runtime.machine.report import machine_line, read_versions

    versions = read_versions(("spair-rt", "onnxruntime"))
    return render_page(
        "report.html",
        title=escape(f"SPAIR-RT demo: {report['model']['checkpoint']}"),
        tiles="\n".join(_summary_tile(rain, values) for rain, values in report["summary"].items()),
        rows="\n".join(_row(row) for row in report["images"]),
        precisions=_precisions(report["precisions"]),
        precision_notes=escape(
            " ".join(f"{note[:1].upper()}{note[1:]}." for note in precision_notes(report["precisions"]))
        ),
        cards="\n".join(_card(trial) for trial in trials),
        machine=escape(machine_line(report["machine"])),
        versions=escape(", ".join(f"{name} {version}" for name, version in versions.items())),
        timing=escape(_timing(report)),
        card=escape(report["model"]["card"] or "This checkpoint has no model card beside it."),
        facts="\n".join(_fact(name, value) for name, value in _facts(report["model"])),
        gain=str(GAIN),
    )


def error_picture(restored: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Draw the largest difference of the channels, amplified.

    Both pictures are uint8 [H, W, 3]. The result is uint8 [H, W, 1], black where they agree.
    """
    error = np.abs(restored.astype(np.int16) - clean).max(axis=2, keepdims=True)
    return np.minimum(error * GAIN, 255).astype(np.uint8)


def _summary_tile(rain: str, values: dict[str, Any]) -> str:
    name = escape(RAINS.get(rain, rain))
    return (
        f'<div class="tile"><h3>{name}</h3>'
        f'<p class="big">{decibel(values["psnr_y_before"])} <span aria-hidden="true">→</span>'
        f'<span class="sr">to</span> {decibel(values["psnr_y_after"])}</p>'
        f"<p>{100 * values['density']:.1f} % of the pixels found distorted<br>"
        f"{values['speedup']:.2f}× the speed of dense</p></div>"
    )


def _row(row: dict[str, Any]) -> str:
    tiles = row["tiles"]
    cells = (
        decibel(row["psnr_y_before"]),
        decibel(row["psnr_y_after"]),
        f"{100 * row['density']:.1f} %",
        f"{row['dense_seconds']:.2f} s",
        f"{row['adaptive_seconds']:.2f} s",
        f"{row['speedup']:.2f}×",
        f"{tiles['skipped']} / {tiles['packed']} / {tiles['dense']}",
    )
    name = f"{row['name']}, {row['width']}×{row['height']}"
    head = f'<th scope="row">{escape(name)}</th><td>{escape(RAINS.get(row["rain"], row["rain"]))}</td>'
    return f"<tr>{head}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _precisions(rows: dict[str, Any]) -> str:
    lines = render_rows(precision_cells(precision, row) for precision, row in rows.items())
    return f"{render_head(HEAD)}<tbody>\n{lines}\n</tbody>"


def _card(trial: SampleResult) -> str:
    name, rain = trial.sample.name, RAINS.get(trial.sample.rain, trial.sample.rain)
    mask = trial.mask[..., None].astype(np.uint8) * np.uint8(255)
    figures = (
        _figure(trial.sample.degraded, "before", f"{name}, {rain.lower()}, as given", decibel(trial.psnr_before)),
        _figure(trial.restored, "after", f"{name}, {rain.lower()}, restored", decibel(trial.psnr_after)),
        _figure(mask, "mask", f"white where {name} was found distorted", f"{100 * trial.mask.mean():.1f} %", True),
        _figure(error_picture(trial.restored, trial.sample.clean), f"error ×{GAIN}",
                f"what is left of the difference to the clean photo of {name}", "black is none"),
    )  # fmt: skip
    return (
        f'<section class="card"><h3>{escape(name)} <small>{escape(rain)}</small></h3>'
        f'<div class="pictures">{"".join(figures)}</div></section>'
    )


def _figure(pixels: np.ndarray, title: str, alt: str, note: str, lossless: bool = False) -> str:
    height, width = pixels.shape[:2]
    image = (
        f'<img src="{embed_picture(pixels, lossless=lossless)}" alt="{escape(alt, quote=True)}" '
        f'width="{width}" height="{height}" loading="lazy">'
    )
    button = f'<button type="button" class="zoom" aria-label="enlarge: {escape(alt, quote=True)}">{image}</button>'
    return f"<figure>{button}<figcaption><b>{escape(title)}</b> {escape(note)}</figcaption></figure>"


def _facts(model: dict[str, Any]) -> list[tuple[str, str]]:
    parity = model["parity"]
    operators = ", ".join(f"{count} {name}" for name, count in model["operators"].items())
    facts = [
        ("Task and preset", f"{model['task'] or 'not given'}, {model['preset']}"),
        ("Parameters", f"{model['parameters']:,}"),
        ("Sparse operators", operators),
        ("Parity with PyTorch", f"{parity['cases']} cases, largest difference {parity['max_abs']:.1e}"),
        ("SHA-256", model["sha256"]),
    ]
    if model["steps"]:
        facts.insert(2, ("Training steps", f"{model['steps']:,}"))
    scores = [f"{name} {value:.2f}" for name, value in sorted(model["scores"].items()) if name.startswith("psnr")]
    return facts + ([("Validation, dB", ", ".join(scores))] if scores else [])


def _fact(name: str, value: str) -> str:
    return f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"


def _timing(report: dict[str, Any]) -> str:
    threads = {None: "all cores", 1: "1 thread"}.get(report["threads"], f"{report['threads']} threads")
    runs = "one run" if report["repeat"] == 1 else f"medians of {report['repeat']} runs"
    return f"Seconds are {runs} of dense and adaptive in turns, on {threads}, without reading and writing files."
