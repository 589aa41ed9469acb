import json
import re

import numpy as np
import pytest

from spair.runtime.images import Picture, write_image
from spair.training.data.pairs import pair_folders
from spair.training.evaluation.protocols import PROTOCOLS
from spair.training.evaluation.published import describe_published
from spair.training.evaluation.report.restored import render_report
from spair.training.evaluation.restored import evaluate
from tests.training.evaluation.plain import Plain


@pytest.fixture
def pairs(tmp_path):
    random = np.random.default_rng(3)
    for name in ("a|b", "_x_", "3"):
        clean = random.integers(30, 200, (12, 14, 3)).astype(np.uint8)
        for role, pixels in (("input", clean - 20), ("target", clean)):
            (tmp_path / role).mkdir(exist_ok=True)
            write_image(tmp_path / role / f"{name}.png", Picture(pixels))
    return pair_folders(tmp_path / "input", tmp_path / "target")


def report(pairs, task="rain", layout=None, split=None, peers=(), **options):
    found = lambda image: Plain(image + np.float32(10 / 255), np.ones(image.shape[:2], bool))  # noqa: E731
    made = evaluate(found, pairs, task, model="runs/ours.spair", **options)
    made["published"] = describe_published(task, layout, split, len(pairs))
    made["dataset"] = layout and {"layout": layout, "root": "x", "split": split}
    made["compare"] = [evaluate(Plain, pairs, task, model=peer, **options) for peer in peers]
    return json.loads(json.dumps(made, allow_nan=False))


def tables(text):
    """Each table as rows of cells; escaped bars do not divide."""
    blocks = re.findall(r"(?:^\|.*\|\n?)+", text, re.M)
    return [[[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in b.splitlines()] for b in blocks]


@pytest.mark.parametrize("task", PROTOCOLS)
def test_every_table_is_a_table(pairs, task):
    text = render_report(report(pairs, task, peers=["peer.spair"]), {"3": "pictures/3.png"})
    found = tables(text)
    assert len(found) == 3  # models, published, pictures
    for table in found:
        assert len({len(row) for row in table}) == 1, table
        assert all(set(cell) <= set(":-") for cell in table[1])
        assert all(cell or position == 0 for row in table for position, cell in enumerate(row))
    assert [row[0] for row in found[0][2:]] == ["input", "**ours.spair**", "peer.spair"]
    assert text.endswith("\n") and not re.search(r"\b(None|nan|inf)\b", text)


def test_figures_of_models_and_pictures_are_those_of_the_report(pairs):
    made = report(pairs, peers=["peer.spair"])
    models, _, pictures = tables(render_report(made))
    assert models[0][1] == "PSNR luma"
    for row, source in zip(models[2:], (made["input"], made, made["compare"][0]), strict=True):
        assert row[1:3] == [f"{source['psnr_y']:.2f}", f"{source['ssim_y']:.4f}"]
    assert models[2][5] == f"{100 * made['true_density']:.1f} % true" and models[3][5] == "100.0 %"
    first = made["images"][0]
    assert pictures[2][2] == f"{first['input']['psnr_y']:.2f} → {first['psnr_y']:.2f}"
    assert pictures[2][3] == f"{first['psnr_y'] - first['input']['psnr_y']:+.2f}"


COST = {"parameters": 1234567, "multiply_adds": 4567.8, "multiply_adds_dense": None, "ms": 12.34, "processor_ms": 5.0}


def test_quality_and_cost_of_every_model_stand_in_one_table(pairs):
    made = report(pairs, peers=["peer.spair"])
    made["cost"], made["compare"][0]["cost"] = COST, dict.fromkeys(COST)
    text = render_report(made)
    models = tables(text)[0]
    assert models[0][-5:] == ["parameters", "multiply-adds a pixel", "if all were distorted", "ms", "processor ms"]
    assert models[3][-5:] == ["1,234,567", "4,568", "–", "12.3", "5.0"]
    assert models[2][-5:] == models[4][-5:] == ["–"] * 5 and "medians over the pictures" in text
    assert "multiply-adds" not in render_report(report(pairs))


def thresholds(made):
    """Rows of a sweep, made up of the report itself."""
    keys = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "density", "mask", "rmse")
    means = {key: made[key] for key in keys if key in made}
    rows = [{**means, "threshold": one, "own": one == 0.35, "ms": 12.34, "processor_ms": 5.0} for one in (0.1, 0.35)]
    rows[0]["psnr_y"] = rows[0]["psnr_rgb"] = made["psnr_y"] + 0.5
    return rows


def test_thresholds_have_a_table_with_gains_and_a_chart(pairs):
    made = report(pairs)
    text = render_report(made | {"thresholds": thresholds(made)})
    table = tables(text)[2]
    assert table[0][:4] == ["threshold", "PSNR luma", "gain", "SSIM luma"] and table[0][-2:] == ["ms", "processor ms"]
    assert [row[0] for row in table[2:]] == ["0.1", "**0.35**"] and [row[2] for row in table[2:]] == ["+0.50", "+0.00"]
    assert table[2][-2:] == ["12.3", "5.0"] and "![Quality against time](thresholds.png)" in text
    assert "thresholds.png" not in render_report(made)


def test_thresholds_of_shadows_have_lab_errors(pairs):
    made = report(pairs, "shadow")
    rows = [row | {"processor_ms": None} for row in thresholds(made)]
    table = tables(render_report(made | {"thresholds": rows}))[2]
    assert table[0][1] == "RMSE Lab shadow" and table[2][-1] == "–"


def test_shadow_tables_have_lab_errors_first_and_published_rows_beside_ours(pairs):
    made = report(pairs, "shadow", "istd", "test")
    models, published, _ = tables(render_report(made))
    assert models[0][1:4] == ["RMSE Lab shadow", "RMSE Lab non-shadow", "RMSE Lab all"]
    assert models[3][3] == f"{made['rmse']['all']:.2f}"
    assert published[0][1:] == ["ISTD: RMSE shadow / RMSE non-shadow / RMSE all"]
    assert ["SPAIR", "8.05 / 5.47 / 5.88"] in published
    assert published[-1][0] == "**ours.spair**, measured here" and published[-1][1].endswith(models[3][3])


def test_on_other_files_our_figures_have_a_column_of_their_own_and_a_caution(pairs):
    text = render_report(report(pairs))
    published = tables(text)[1]
    assert "> **Caution.** The published figures were measured on other files (Test100" in text
    assert published[0][-1] == "other files (3): PSNR / SSIM"
    assert published[-1][1:-1] == ["–"] * 6 and published[-1][-1] != "–"
    assert published[2][-1] == "–" and published[2][1] == "22.77 / 0.810"


def test_on_a_part_of_a_data_set_the_figures_share_a_column_under_a_caution(pairs):
    text = render_report(report(pairs, "blur", "gopro", "test"))
    assert "means over 1111 pictures of GoPro, these over 3." in text
    published = tables(text)[1]
    assert published[0] == ["", "GoPro: PSNR / SSIM"]
    assert published[-1][1] != "–"
    assert "3 pictures of gopro, split test." in text


def test_sets_without_an_ssim_get_a_psnr_alone(pairs):
    published = tables(render_report(report(pairs, "blur", "realblur-j", "test")))[1]
    assert published[0][1:] == ["RealBlur-J: PSNR / SSIM", "RealBlur-J, trained on it: PSNR"]
    assert published[-1][1].split(" / ")[0] == published[-1][2]
    assert ["Purohit 2020", "–", "–"] in published


def test_names_cannot_break_the_markdown(pairs):
    text = render_report(report(pairs), {"a|b": "pictures/a|b.png", "_x_": "pictures/_x_.png"})
    names = [row[0] for row in tables(text)[2][2:]]
    assert names == ["3", r"[\_x\_](pictures/_x_.png)", r"[a\|b](pictures/a%7Cb.png)"]


def test_the_gallery_shows_the_least_median_and_most_gained_once_each(pairs):
    every = {name: f"pictures/{name}.png" for name in ("3", "_x_", "a|b")}
    assert render_report(report(pairs), every).count("![") == 3
    one = render_report(report(pairs), {"3": "pictures/3.png"})
    assert one.count("![") == 1 and "Least, median, most gained: 3" in one
    assert "## Pictures" not in render_report(report(pairs))


def test_the_setting_says_what_was_done(pairs):
    text = render_report(report(pairs, "shadow", quantize="floor", resize=8))
    for words in ("--quantize floor", "resized to 8x8", "derived from each pair", "below the target's", "`runs/ours.s"):
        assert words in text
    shifted = render_report(report(pairs, "blur", shift=3))
    assert "3 pixels cropped on every side, shifted by up to 1 to fit best" in shifted


def test_chosen_pictures_are_named_so_that_a_table_can_be_made_again(pairs):
    assert "`--only 3,_x_`" in render_report(report(pairs) | {"only": ["3", "_x_"]})
    assert "--only" not in render_report(report(pairs) | {"only": None})


def test_identical_pictures_are_called_so(pairs):
    made = report(pairs)
    made["psnr_rgb"] = 100.0
    assert tables(render_report(made))[0][3][3] == "identical"
