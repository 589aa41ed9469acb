"""Markdown report of an evaluation of restored pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..metrics import PSNR_CAP
from ..protocols import REGIONS, TITLES, TaskProtocol, find_protocol
from .curve import FILE as CURVE
from .maps import MASK_WORDS, SCALE_WORDS
from .markdown import (
    COST_WORDS,
    COSTS,
    DASH,
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

QUANTIZE_WORDS = {
    "round": "rounded to 8 bit, as a saved file is",
    "floor": "cut to 8 bit, as the published rain and raindrop figures were",
    "none": "measured as floats",
}
"""Description of each quantize mode, for reports."""


def render_report(report: Mapping[str, Any], pictures: Mapping[str, str] | None = None) -> str:
    """Render a report as Markdown.

    Args:
        report: result of `restored.evaluate`. It may also hold `compare` (the reports of peers), `published` (from
            `describe_published`), `dataset` (None, or layout, root and split), `only` (None, or the names of the
            pictures that were chosen) and `thresholds` (from `session.thresholds.measure_thresholds`).
        pictures: name of a picture -> path of its montage, relative to the place of the report.
    """
    protocol, models = find_protocol(report["protocol"]), [report, *report.get("compare", [])]
    labels, pictures = [escape_text(label) for label in label_models([one["model"] for one in models])], pictures or {}
    title = labels[0]
    labels[0] = f"**{title}**"
    parts = [
        f"# {report['protocol'].capitalize()}: {title}",
        f"{count_pictures(report['count'])}{_files(report)}. PSNR in dB; higher is better, except for errors.",
        render_models(report, models, labels, protocol),
        *([COST_WORDS] if "cost" in report else []),
        *_published(report, models, labels, protocol),
        *_thresholds(report, protocol),
        "## Each picture",
        render_pictures(report["images"], protocol, pictures),
        "## Setting",
        _setting(report, models, labels, protocol, bool(pictures)),
        *render_gallery(
            report["images"],
            pictures,
            lambda image: image[protocol.psnr] - image["input"][protocol.psnr],
            ("least", "median", "most"),
            "gained",
        ),
    ]
    return "\n\n".join(parts) + "\n"


def render_models(
    report: Mapping[str, Any], models: Sequence[Mapping[str, Any]], labels: Sequence[str], protocol: TaskProtocol
) -> str:
    """Render one row for the input and for each model.

    The labels are Markdown.
    """
    regions = REGIONS if protocol.lab else ()
    head = ["", *(f"RMSE Lab {_region(region)}" for region in regions), *(TITLES[key] for key in protocol.measures)]
    costs = [title for title, _ in COSTS.values()] if "cost" in report else []
    rows = [[*head, "distorted", "mask precision", "recall", "IoU", *costs]]
    for label, one in (("input", report["input"]), *zip(labels, models, strict=True)):
        errors = [format_number(one["rmse"][region], 2) for region in regions]
        row = [label, *errors, *(_measure(key, one[key]) for key in protocol.measures)]
        if one is report["input"]:
            row += [f"{format_percent(report['true_density'])} true", DASH, DASH, DASH]
        else:
            mask = one["mask"] or {}
            found = [format_number(mask.get(key), 3) for key in ("precision", "recall", "iou")]
            row += [format_percent(one["density"]), *found]
        rows.append([*row, *(render_costs(one) if costs else ())])
    return render_table(rows)


def render_pictures(images: Sequence[Mapping[str, Any]], protocol: TaskProtocol, pictures: Mapping[str, str]) -> str:
    """Render one row for each picture.

    Its name links to its montage.
    """
    psnr, ssim = TITLES[protocol.psnr], TITLES[protocol.ssim]
    regions = REGIONS if protocol.lab else ()
    head = ["picture", "size", *(f"RMSE Lab {_region(region)}" for region in regions)]
    rows = [[*head, psnr, "gain", ssim, "distorted", "true", "IoU"]]
    for image in images:
        before = image["input"]
        errors = [_change(before["rmse"][one], image["rmse"][one], 2) for one in regions]
        iou = None if image["mask"] is None else image["mask"]["iou"]
        rows.append([
            link_name(image["name"], pictures), f"{image['width']}x{image['height']}", *errors,
            _change(before[protocol.psnr], image[protocol.psnr], 2),
            f"{image[protocol.psnr] - before[protocol.psnr]:+.2f}",
            _change(before[protocol.ssim], image[protocol.ssim], 4),
            format_percent(image["density"]), format_percent(image["true_density"]), format_number(iou, 2),
        ])  # fmt: skip
    return render_table(rows)


def render_published(
    published: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], protocol: TaskProtocol, count: int
) -> str:
    """Render the published methods, then the measured rows.

    `rows` maps a label to a report. Its figures stand in the columns of the sets only if the files are those of the
    sets.
    """
    sets, named = published["sets"], published["named"]
    head = ["", *(escape_text(f"{one['name']}: {' / '.join(one['measures'])}") for one in sets)]
    ours = [] if named else [f"other files ({count}): {' / '.join(sets[0]['measures'])}"]
    table = [head + ours]
    methods = dict.fromkeys(method for one in sets for method in one["rows"])
    for method in methods:
        figures = [_figures(one["rows"].get(method, ())) for one in sets]
        table.append([escape_text(method), *figures, *([DASH] if ours else [])])
    for label, report in rows.items():
        values = [_figures(_headline(report, protocol)[: len(one["measures"])]) for one in sets]
        table.append([label, *(values if named else [*([DASH] * len(sets)), values[0]])])
    return render_table(table)


def render_thresholds(rows: Sequence[Mapping[str, Any]], protocol: TaskProtocol) -> str:
    """Render one row for each threshold.

    The model's own stands in bold.
    """
    psnr, ssim = protocol.psnr, protocol.ssim
    regions = REGIONS if protocol.lab else ()
    head = ["threshold", *(f"RMSE Lab {_region(region)}" for region in regions), TITLES[psnr], "gain", TITLES[ssim]]
    table = [[*head, "distorted", "mask precision", "recall", "ms", "processor ms"]]
    own = next((row for row in rows if row["own"]), None)
    for row in rows:
        name = f"**{row['threshold']:g}**" if row["own"] else f"{row['threshold']:g}"
        gain = DASH if own is None else f"{row[psnr] - own[psnr]:+.2f}"
        found = [format_number((row["mask"] or {}).get(key), 3) for key in ("precision", "recall")]
        errors = [format_number(row["rmse"][region], 2) for region in regions]
        table.append([
            name, *errors, _measure(psnr, row[psnr]), gain, _measure(ssim, row[ssim]), format_percent(row["density"]),
            *found, format_number(row["ms"], 1), format_number(row["processor_ms"], 1),
        ])  # fmt: skip
    return render_table(table)


def _thresholds(report: Mapping[str, Any], protocol: TaskProtocol) -> list[str]:
    """Render the section about thresholds of the mask."""
    rows = report.get("thresholds")
    if not rows:
        return []
    return [
        "## Thresholds of the mask",
        "A pixel is restored where its probability of a distortion lies above the threshold; the one in bold is the "
        "model's. Gains are against it. The milliseconds are means over the pictures: by the clock, which other work "
        "on the machine makes longer, and those that all threads of the processor computed.",
        render_thresholds(rows, protocol),
        f"![Quality against time]({CURVE})",
    ]


def _published(
    report: Mapping[str, Any], models: Sequence[Mapping[str, Any]], labels: Sequence[str], protocol: TaskProtocol
) -> list[str]:
    """Render the section about published figures."""
    published = report.get("published")
    if not published or not published["sets"]:
        return []
    rows = {"input, measured here": report["input"]}
    rows |= {f"{label}, measured here": one for label, one in zip(labels, models, strict=True)}
    notes = dict.fromkeys(one["note"] for one in published["sets"] if one["note"])
    return [
        "## Beside published figures",
        *([f"> **Caution.** {published['caution']}"] if published["caution"] else []),
        render_published(published, rows, protocol, report["count"]),
        " ".join([f"Methods: {published['source']}; not measured here.", *notes]),
    ]


def _headline(report: Mapping[str, Any], protocol: TaskProtocol) -> tuple[float | None, ...]:
    """List the figures that the task's tables print."""
    if protocol.lab:
        return tuple(report["rmse"][region] for region in REGIONS)
    return report[protocol.psnr], report[protocol.ssim]


def _setting(
    report: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    protocol: TaskProtocol,
    pictures: bool,
) -> str:
    """Render the list that says how the pictures were measured."""
    size = "measured at their own size"
    if report["resize"] is not None:
        size = f"resized to {report['resize']}x{report['resize']} before they were measured (bicubic)"
    if report["shift"]:
        size += f", {report['shift']} pixels cropped on every side, shifted by up to {report['shift'] // 3} to fit best"
    masks = {"files": "read from files", "derived": "derived from each pair", "mixed": "read from files or derived"}
    rule = f": {report['mask_rule']}" if report["mask_rule"] else ""
    lines = [
        *list_chosen(report),
        protocol.words,
        f"Outputs were {QUANTIZE_WORDS[report['quantize']]} (`--quantize {report['quantize']}`).",
        f"Pictures were {size}.",
        f"True masks were {masks[report['mask_source']]}{rule}.",
        *(f"{label} is `{one['model']}`." for label, one in zip(labels, models, strict=True)),
        f"SHA-256 over the names and contents of the files: `{report['files_sha256']}`.",
    ]
    if pictures:
        lines.append(f"Error maps: {SCALE_WORDS}. Masks: {MASK_WORDS}.")
    return "\n".join(f"- {line}" for line in lines)


def _files(report: Mapping[str, Any]) -> str:
    """Name the data set of the report."""
    dataset = report.get("dataset")
    if dataset is None:
        return ""
    split = f", split {escape_text(dataset['split'])}" if dataset["split"] else ""
    return f" of {escape_text(dataset['layout'])}{split}"


def _region(region: str) -> str:
    return region.replace("_", "-")


def _measure(key: str, value: float | None) -> str:
    """Write the value of a measure with its usual digits."""
    if key.startswith("psnr"):
        return "identical" if value is not None and value >= PSNR_CAP else format_number(value, 2)
    return format_number(value, 4)


def _change(before: float | None, after: float | None, digits: int) -> str:
    """Write a value before and after restoration."""
    return (
        DASH
        if before is None and after is None
        else f"{format_number(before, digits)} → {format_number(after, digits)}"
    )


def _figures(values: Sequence[float | None]) -> str:
    """Write figures with the digits of the published tables.

    PSNR and RMSE have two digits. Shares of one have three, or four where the fourth is not zero.
    """
    if not values or all(value is None for value in values):
        return DASH
    return " / ".join(
        DASH if value is None else f"{value:.4f}".removesuffix("0") if abs(value) <= 1 else f"{value:.2f}"
        for value in values
    )
