"""Every command of the page on serving works, against a real server."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Picture, Restorer, read_image, write_image
from tests.patience import PATIENCE
from tests.serving.process import served
from tests.test_docs import list_blocks

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tasks" / "serve.md"
TEXT = PAGE.read_text(encoding="utf-8")
SHELL = [body for mark, body in list_blocks(TEXT, "sh") if mark == "served"]
PYTHON = [body for mark, body in list_blocks(TEXT, "python") if mark == "served"]


@pytest.fixture(scope="module")
def server(tiny_bundle):
    with served(f"rain={tiny_bundle}", "--threads", "1") as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pixels = np.random.default_rng(2).integers(0, 256, (33, 47, 3), np.uint8)
    write_image(tmp_path / "photo.jpg", Picture(pixels))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def expected(tiny_bundle, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    write_image(path, Picture(np.random.default_rng(2).integers(0, 256, (33, 47, 3), np.uint8)))
    with Restorer.open(tiny_bundle, threads=1) as restorer:
        return restorer(read_image(path).pixels).image


def run_shell(server, block):
    if shutil.which("curl") is None or shutil.which("bash") is None:
        pytest.skip("the program curl or bash is not installed")
    script = "set -eo pipefail\n" + block.replace("127.0.0.1:8000", server.http)
    done = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_the_commands():
    assert len(SHELL) == 5 and len(PYTHON) == 1


@pytest.mark.parametrize("block", SHELL, ids=lambda block: re.sub(r"\W+", "-", block[-60:]))
def test_each_shell_block_runs(server, folder, block):
    assert run_shell(server, block) or list(folder.glob("restored.*"))


def test_the_picture_of_the_file_alone_is_the_restored_one(server, folder, expected):
    (block,) = (block for block in SHELL if "restored.png" in block)
    run_shell(server, block)
    assert np.array_equal(read_image(folder / "restored.png").pixels, expected)


def test_the_picture_of_the_request_in_json_has_the_format_of_the_file(server, folder, expected):
    (block,) = (block for block in SHELL if "restored.jpg" in block)
    run_shell(server, block)
    write_image(folder / "expected.jpg", Picture(expected))
    assert np.array_equal(read_image(folder / "restored.jpg").pixels, read_image(folder / "expected.jpg").pixels)


def test_the_python_block_runs(server, folder, expected):
    pytest.importorskip("tritonclient.http", reason="pip install 'tritonclient[http]'")
    (block,) = PYTHON
    exec(compile(block.replace("127.0.0.1:8000", server.http), PAGE.name, "exec"), {})
    assert np.array_equal(read_image(folder / "restored.png").pixels, expected)


def test_nothing_was_refused(server):
    assert not [line for line in server.lines if re.search(r'"status": [45]', line)]
