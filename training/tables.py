"""The report of an evaluation as Markdown."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .figures import SCALE_WORDS
from .metrics import PSNR_CAP
from .protocols import Protocol, find_protocol

DASH = "–"
REGIONS = ("shadow", "non_shadow", "all")

TITLES = {
    "psnr_y": "PSNR luma",
    "ssim_y": "SSIM luma",
    "psnr_rgb": "PSNR RGB",
    "ssim_rgb": "SSIM RGB",
    "psnr_y8": "PSNR 8-bit luma",
    "ssim_y8": "SSIM 8-bit luma",
}
"""Of the columns; PSNR is in dB."""

QUANTIZE_WORDS = {
    "round": "rounded to 8 bit, as a saved file is",
    "floor": "cut to 8 bit, as the published rain and raindrop figures were",
    "none": "measured as floats",
}


def render_report(report: Mapping[str, Any], pictures: Mapping[str, str] | None = None) -> str:
    """The Markdown of a report.

    Args:
        report: what `evaluation.evaluate` returns, with `compare` (the reports of peers), `published`
            (`published.describe`) and `dataset` (None, or layout, root and split) where there are any.
        pictures: name of a picture -> path of its montage, relative to where the report will lie.
    """
    protocol, models = find_protocol(report["protocol"]), [report, *report.get("compare", [])]
    labels, pictures = [_plain(label) for label in label_models([one["model"] for one in models])], pictures or {}
    title = labels[0]
    labels[0] = f"**{title}**"
    parts = [
        f"# {report['protocol'].capitalize()}: {title}",
        f"{_count(report['count'])}{_files(report)}. PSNR in dB; higher is better, except for errors.",
        render_models(report, models, labels, protocol),
        *_published(report, models, labels, protocol),
        "## Each picture",
        render_pictures(report["images"], protocol, pictures),
        "## Setting",
        _setting(report, models, labels, protocol, bool(pictures)),
        *_gallery(report["images"], protocol, pictures),
    ]
    return "\n\n".join(parts) + "\n"


def render_models(
    report: Mapping[str, Any], models: Sequence[Mapping[str, Any]], labels: Sequence[str], protocol: Protocol
) -> str:
    """One row for the input and one for each model; `labels` are Markdown."""
    regions = REGIONS if protocol.lab else ()
    head = ["", *(f"RMSE Lab {_region(region)}" for region in regions), *(TITLES[key] for key in protocol.measures)]
    rows = [[*head, "distorted", "mask precision", "recall", "IoU"]]
    for label, one in (("input", report["input"]), *zip(labels, models, strict=True)):
        errors = [_number(one["rmse"][region], 2) for region in regions]
        row = [label, *errors, *(_measure(key, one[key]) for key in protocol.measures)]
        if one is report["input"]:
            rows.append([*row, f"{_percent(report['true_density'])} true", DASH, DASH, DASH])
        else:
            mask = one["mask"] or {}
            found = [_number(mask.get(key), 3) for key in ("precision", "recall", "iou")]
            rows.append([*row, _percent(one["density"]), *found])
    return _table(rows)


def render_pictures(images: Sequence[Mapping[str, Any]], protocol: Protocol, pictures: Mapping[str, str]) -> str:
    """One row a picture, the name linked to its montage."""
    psnr, ssim = TITLES[protocol.psnr], TITLES[protocol.ssim]
    regions = REGIONS if protocol.lab else ()
    head = ["picture", "size", *(f"RMSE Lab {_region(region)}" for region in regions)]
    rows = [[*head, psnr, "gain", ssim, "distorted", "true", "IoU"]]
    for image in images:
        name, before = _plain(image["name"]), image["input"]
        linked = f"[{name}]({_path(pictures[image['name']])})" if image["name"] in pictures else name
        errors = [_change(before["rmse"][one], image["rmse"][one], 2) for one in regions]
        iou = None if image["mask"] is None else image["mask"]["iou"]
        rows.append([
            linked, f"{image['width']}x{image['height']}", *errors,
            _change(before[protocol.psnr], image[protocol.psnr], 2),
            f"{image[protocol.psnr] - before[protocol.psnr]:+.2f}",
            _change(before[protocol.ssim], image[protocol.ssim], 4),
            _percent(image["density"]), _percent(image["true_density"]), _number(iou, 2),
        ])  # fmt: skip
    return _table(rows)


def render_published(
    published: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], protocol: Protocol, count: int
) -> str:
    """The published methods, then `rows` (label -> report): in the columns of the sets only if the files are theirs."""
    sets, named = published["sets"], published["named"]
    head = ["", *(_plain(f"{one['name']}: {' / '.join(one['measures'])}") for one in sets)]
    ours = [] if named else [f"other files ({count}): {' / '.join(sets[0]['measures'])}"]
    table = [head + ours]
    methods = dict.fromkeys(method for one in sets for method in one["rows"])
    for method in methods:
        figures = [_figures(one["rows"].get(method, ())) for one in sets]
        table.append([_plain(method), *figures, *([DASH] if ours else [])])
    for label, report in rows.items():
        values = [_figures(_headline(report, protocol)[: len(one["measures"])]) for one in sets]
        table.append([label, *(values if named else [*([DASH] * len(sets)), values[0]])])
    return _table(table)


def label_models(paths: Sequence[str]) -> list[str]:
    """Short names of models: the file's, with as many of its folders as tell it from the others."""
    parts = [Path(path).parts or (path,) for path in paths]
    labels = []
    for own in parts:
        others = [other for other in parts if other != own]
        length = next((n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        labels.append("/".join(own[-length:]))
    return labels


def _published(
    report: Mapping[str, Any], models: Sequence[Mapping[str, Any]], labels: Sequence[str], protocol: Protocol
) -> list[str]:
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


def _headline(report: Mapping[str, Any], protocol: Protocol) -> tuple[float | None, ...]:
    """The figures that the task's tables print."""
    if protocol.lab:
        return tuple(report["rmse"][region] for region in REGIONS)
    return report[protocol.psnr], report[protocol.ssim]


def _setting(
    report: Mapping[str, Any],
    models: Sequence[Mapping[str, Any]],
    labels: Sequence[str],
    protocol: Protocol,
    pictures: bool,
) -> str:
    size = "measured at their own size"
    if report["resize"] is not None:
        size = f"resized to {report['resize']}x{report['resize']} before they were measured (bicubic)"
    if report["shift"]:
        size += f", {report['shift']} pixels cropped on every side, shifted by up to {report['shift'] // 3} to fit best"
    masks = {"files": "read from files", "derived": "derived from each pair", "mixed": "read from files or derived"}
    rule = f": {report['mask_rule']}" if report["mask_rule"] else ""
    lines = [
        protocol.words,
        f"Outputs were {QUANTIZE_WORDS[report['quantize']]} (`--quantize {report['quantize']}`).",
        f"Pictures were {size}.",
        f"True masks were {masks[report['mask_source']]}{rule}.",
        *(f"{label} is `{one['model']}`." for label, one in zip(labels, models, strict=True)),
        f"SHA-256 over the names and contents of the files: `{report['files_sha256']}`.",
    ]
    if pictures:
        lines.append(f"Error maps: {SCALE_WORDS}. Masks: white found, orange false, blue missed.")
    return "\n".join(f"- {line}" for line in lines)


def _gallery(images: Sequence[Mapping[str, Any]], protocol: Protocol, pictures: Mapping[str, str]) -> list[str]:
    """The montages of the pictures that gained least, as the median, and most."""
    shown = sorted(
        (image for image in images if image["name"] in pictures),
        key=lambda image: image[protocol.psnr] - image["input"][protocol.psnr],
    )
    if not shown:
        return []
    chosen = {"least": shown[0], "median": shown[(len(shown) - 1) // 2], "most": shown[-1]}
    captions: dict[str, list[str]] = {}
    for words, image in chosen.items():
        captions.setdefault(image["name"], []).append(words)
    links = [
        f"{', '.join(words).capitalize()} gained: {_plain(name)}\n\n![{_plain(name)}]({_path(pictures[name])})"
        for name, words in captions.items()
    ]
    return ["## Pictures", *links]


def _files(report: Mapping[str, Any]) -> str:
    dataset = report.get("dataset")
    if dataset is None:
        return ""
    split = f", split {_plain(dataset['split'])}" if dataset["split"] else ""
    return f" of {_plain(dataset['layout'])}{split}"


def _count(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"


def _region(region: str) -> str:
    return region.replace("_", "-")


def _measure(key: str, value: float | None) -> str:
    if key.startswith("psnr"):
        return "identical" if value is not None and value >= PSNR_CAP else _number(value, 2)
    return _number(value, 4)


def _change(before: float | None, after: float | None, digits: int) -> str:
    return DASH if before is None and after is None else f"{_number(before, digits)} → {_number(after, digits)}"


def _figures(values: Sequence[float | None]) -> str:
    """PSNR or RMSE with two digits; shares of one with three, or four where the fourth says something."""
    if not values or all(value is None for value in values):
        return DASH
    return " / ".join(
        DASH if value is None else f"{value:.4f}".removesuffix("0") if abs(value) <= 1 else f"{value:.2f}"
        for value in values
    )


def _number(value: float | None, digits: int) -> str:
    return DASH if value is None else f"{value:.{digits}f}"


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.1f} %"


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]|<>" else letter for letter in " ".join(text.split()))


def _path(path: str) -> str:
    return quote(path)


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells, the head first; numbers to the right."""
    rule = [":--", *["--:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
