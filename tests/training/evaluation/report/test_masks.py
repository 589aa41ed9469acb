import json
import re

import numpy as np
import pytest

from spair.runtime.images import Picture, write_image
from spair.training.data.pairs import pair_folders
from spair.training.evaluation.masks import evaluate_masks
from spair.training.evaluation.report.masks import render_mask_report
from tests.training.evaluation.plain import Plain


@pytest.fixture
def report(tmp_path):
    """Report of two networks that find bright pixels.

    They see a dark and a large picture with noise for masks.
    """
    random = np.random.default_rng(3)
    for name, (size, top) in {"a|b": ((12, 14), 90), "_x_": ((40, 30), 256)}.items():
        mask = (random.random((*size, 1)) < 0.4).astype(np.uint8) * np.uint8(255)
        for role, pixels in (("input", random.integers(0, top, (*size, 3)).astype(np.uint8)), ("mask", mask)):
            (tmp_path / role).mkdir(exist_ok=True)
            write_image(tmp_path / role / f"{name}.png", Picture(pixels))
    pairs = pair_folders(tmp_path / "input", tmp_path / "input", tmp_path / "mask")
    made = evaluate_masks(lambda image: Plain(image, image[..., 0] > 0.3), pairs, model="runs/ours.spair")
    peer = evaluate_masks(lambda image: Plain(image, image[..., 0] > 0.7), pairs, model="peer.spair")
    return json.loads(json.dumps(made | {"compare": [peer]}, allow_nan=False))


def tables(text):
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, re.M)
    return [[[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in b.splitlines()] for b in blocks]


def cells(density, mask):
    shares = [f"{100 * density[key]:.1f} %" for key in ("density", "true_density")]
    return [*shares, *(f"{mask[key]:.3f}" for key in ("precision", "recall", "iou")), f"{100 * mask['ber']:.2f} %"]


def test_the_figures_are_those_of_the_report(report):
    models, pictures = tables(render_mask_report(report))
    assert models[0] == ["", "distorted", "true", "precision", "recall", "IoU", "BER"]
    pooled, (peer,) = report["mask_pooled"], report["compare"]
    assert models[2:] == [
        ["**ours.spair**, mean over pictures", *cells(report, report["mask"])],
        ["**ours.spair**, all pixels together", *cells(pooled, pooled)],
        ["peer.spair, mean over pictures", *cells(peer, peer["mask"])],
        ["peer.spair, all pixels together", *cells(peer["mask_pooled"], peer["mask_pooled"])],
    ]
    assert models[2][1:] != models[3][1:]
    assert pictures[2:] == [
        [name, size, *cells(row, row["mask"])]
        for name, size, row in zip([r"\_x\_", r"a\|b"], ["30x40", "14x12"], report["images"], strict=True)
    ]


def test_the_setting_says_what_was_measured(report):
    text = render_mask_report(report | {"only": ["_x_", "a|b"]}, {"_x_": "pictures/_x_.png"})
    for words in ("# Masks: ours.spair", "2 pictures", "balanced error rate", "`--only _x_,a|b`", "`runs/ours.spair`"):
        assert words in text
    assert report["files_sha256"] in text and "blue missed" in text
    assert "--only" not in render_mask_report(report) and "blue missed" not in render_mask_report(report)
    assert text.endswith("\n") and not re.search(r"\b(None|nan|inf|PSNR)\b", text)


def test_the_gallery_shows_the_lowest_and_highest_iou(report):
    every = {name: f"pictures/{name}.png" for name in ("_x_", "a|b")}
    text = render_mask_report(report, every)
    low, high = sorted(report["images"], key=lambda row: row["mask"]["iou"])
    place = {
        row["name"]: text.index(f"![{row['name'][0]}" if row["name"] == "a|b" else r"![\_x") for row in (low, high)
    }
    assert place[low["name"]] < place[high["name"]]
    assert text.count("![") == 2 and "Lowest, median IoU: " in text and "Highest IoU: " in text
    assert "## Pictures" not in render_mask_report(report)
