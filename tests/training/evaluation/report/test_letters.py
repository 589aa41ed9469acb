"""Words are drawn where they shall be, with nothing but Pillow."""

import subprocess
import sys

import numpy as np
import pytest

from spair.training.evaluation.report.letters import HEIGHT, draw_words


@pytest.mark.parametrize(("anchor", "columns"), [("la", (40, 80)), ("ra", (0, 40)), ("ma", (20, 60))])
def test_the_anchor_says_on_which_side_words_lie(anchor, columns):
    from PIL import Image, ImageDraw

    sheet = Image.new("RGB", (80, 40), "white")
    draw_words(ImageDraw.Draw(sheet), (40, 10), "0.35", (30, 30, 34), anchor)
    rows, drawn = np.nonzero((np.array(sheet) < 128).all(axis=2))
    assert drawn.size and columns[0] <= drawn.min() and drawn.max() < columns[1]
    assert rows.min() >= 10 and rows.max() < 10 + 2 * HEIGHT


def test_the_chart_needs_neither_scipy_nor_scikit_image():
    """`spair profile` draws it where the extra for training is not installed."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('scipy', 'skimage', 'torch'))); "
        "from spair.training.evaluation.report.curve import draw_thresholds; "
        "row = dict(threshold=0.5, own=True, ms=1.0, processor_ms=None, density=0.1, psnr=30.0); "
        "print(draw_thresholds([row], 'psnr').shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(520, 860, 3)\n", done.stderr
