"""Table of the page of networks, made by exporting, calibrating and parsing networks of known architectures.

`make networks` measures all of them at the published size and writes docs/networks.md; `python -m tests.docs.networks
NAME...` measures those named again and keeps the figures of the others, in tests/docs/networks.json; `--small` takes
the small networks of the tests. The weights are random, so nothing is said about pictures.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spair.calibration import Options
from spair.calibration.calibrate import calibrate_bundle
from spair.export.catalogue.recognition import list_architectures
from spair.export.choosing import export_any
from spair.export.engines.child.process import make_environment
from spair.runtime import Bundle, Picture, UserError, write_image
from spair.runtime.errors import GateError
from tests.export.catalogue.instances import INSTANCES, Instance

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "networks.md"
FIGURES = ROOT / "tests" / "docs" / "networks.json"
HEADS = (
    "network",
    "recognised by",
    "measured",
    "parameters",
    "export",
    "tiles",
    "parity",
    "FP16",
    "INT8",
    "RTX parser",
)
PARSER = """
import pathlib, sys, tensorrt_rtx as trt
log = trt.Logger(trt.Logger.ERROR)
network = trt.Builder(log).create_network(0)
parser = trt.OnnxParser(network, log)
if not parser.parse(pathlib.Path(sys.argv[1]).read_bytes(), sys.argv[1]):
    sys.exit("refused: " + parser.get_error(0).desc())
print(network.num_layers)
"""
"""Program that parses a graph; it is a process of its own because some inputs end it."""


def title_of(instance: Instance) -> str:
    """Return the name of a row, which tells the two forms of DnCNN apart."""
    return f"{instance.name} (dncnn.0…)" if instance.name == "DnCNN" and instance is INSTANCES[0] else instance.name


def make_pictures(folder: Path) -> Path:
    """Write four pictures of areas and noise for a calibration."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for place in range(4):
        areas = np.kron(random.random((8, 8, 3)), np.ones((12, 12, 1)))
        pixels = np.clip(0.8 * areas + 0.2 * random.random(areas.shape), 0, 1)
        write_image(folder / f"{place}.png", Picture((255 * pixels).astype(np.uint8)))
    return folder


def measure(instance: Instance, sizes: dict[str, Any], *, calibrates: bool = True) -> dict[str, Any]:
    """Export, calibrate and parse a network, and return the cells of its row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = instance.save(folder / "network.pth", **sizes)
        bundle = folder / "network.spair"
        report = export_any(checkpoint, bundle, said=instance.said)
        found, network = report["recognised"], Bundle.open(bundle).manifest.raw["network"]
        assert found["name"] == instance.name and report["parity"]["passed"]
        form = "one picture, any size" if network["one_picture"] else "any number, any size"
        tiles = "whole" if network["reach"] == "whole" else f"tiled, overlap {network['halo']}"
        cells = {
            "recognised by": found["source"],
            "parameters": found["parameters"],
            "export": form,
            "tiles": tiles,
            "parity": report["parity"]["max_abs"],
        }
        if calibrates:
            pictures = make_pictures(folder / "pictures")
            cells |= {title: calibrate(bundle, pictures, title) for title in ("FP16", "INT8")}
            cells["RTX parser"] = parse(Bundle.open(bundle).graph("fp32", "model"), folder)
    return cells


def calibrate(bundle: Path, pictures: Path, title: str) -> str:
    """Calibrate a bundle, and say what that gave."""
    options = Options(title.lower(), tile=64, tiles=2, pictures=4, side=96, quick=True)
    try:
        report = calibrate_bundle(bundle, pictures, options)
    except (GateError, UserError) as error:
        return f"refused: {str(error).splitlines()[0][:120]}"
    kept = len(report["kept_fp32"]) + len(report.get("kept_fp16") or ())
    return f"passes, {report['layers'] - kept} of {report['layers']} layers"


def parse(graph: Path, folder: Path) -> str:
    """Parse a graph with TensorRT-RTX, and say what that gave."""
    if importlib.util.find_spec("tensorrt_rtx") is None:
        return "not run"
    environment = make_environment("tensorrt_rtx", folder)
    command = [sys.executable, "-c", PARSER, str(graph)]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return f"parses, {int(done.stdout):,} layers"
    words = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
    return words[-1][:120]


def update(names: list[str], *, small: bool) -> None:
    """Measure networks, all where none are named, and keep each row as soon as it is there."""
    for instance in INSTANCES:
        title = title_of(instance)
        if names and title not in names and instance.name not in names:
            continue
        print(title, flush=True)
        row = measure(instance, dict(instance.tiny if small else instance.published))
        figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
        figures[title] = {"measured": "small size" if small else "published size", **row}
        FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def make_tables(figures: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Make the tables of the page by the names of their marks."""
    rows = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    for instance in INSTANCES:
        cells = {"network": title_of(instance), **figures[title_of(instance)]}
        cells |= {"parity": f"{cells['parity']:.1e}", "parameters": f"{cells['parameters']:,}"}
        rows.append("| " + " | ".join(str(cells[head]) for head in HEADS) + " |")
    names = [architecture.name for architecture in list_architectures()]
    listed = textwrap.fill(", ".join(dict.fromkeys(names)), 140, break_long_words=False, break_on_hyphens=False)
    return {"measured": "\n".join(rows), "recognised": listed}


def insert(page: str, name: str, table: str) -> str:
    """Put a table in the place of the old one, between its marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.partition(begin)
    return f"{before}{begin}{table}\n{end}{rest.partition(end)[2]}"


def write_page() -> None:
    """Write the figures into the page."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in make_tables(json.loads(FIGURES.read_text(encoding="utf-8"))).items():
        page = insert(page, name, table)
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    update([name for name in sys.argv[1:] if name != "--small"], small="--small" in sys.argv)
    write_page()
