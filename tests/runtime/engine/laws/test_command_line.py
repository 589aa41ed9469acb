"""What a user types: engines are trusted, restore files, and say in one sentence why they do not."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from spair.cli.main import app
from spair.runtime.images import Picture, read_image, write_image
from tests.runtime.engine.pictures import draw


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function that runs a verb; what it did, with the JSON of its output."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.exit_code, json.loads(done.stdout) if done.exit_code == 0 else done.stderr

    return invoke


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for index, size in enumerate([(24, 32), (24, 32), (24, 32), (49, 70)]):  # the last one is above the engine
        write_image(tmp_path / "photos" / f"{index}.png", Picture(draw(*size, seed=index)))
    return tmp_path / "photos"


def test_two_commands_restore_files(run, engine_bundles, photos, reference):
    path = engine_bundles.make(trusted=False).path
    assert run("trust", path, "--yes", "--json")[1]["changed"] == 4  # library, and the engines of all parts
    code, report = run("restore", path, photos, "--out", "out", "--backend", "tensorrt", "--save-mask", "--json")
    assert code == 0 and report["backend"] == "tensorrt" and len(report["images"]) == 4
    for index in range(4):
        picture = read_image(photos / f"{index}.png").pixels
        restored = read_image(photos.parent / "out" / f"{index}.png").pixels
        expected = reference(picture)
        assert np.abs(restored.astype(int) - expected.image.astype(int)).max() <= 1
        mask = read_image(photos.parent / "out" / f"{index}.mask.png").pixels
        np.testing.assert_array_equal(mask.reshape(expected.mask.shape) > 0, expected.mask)


def test_auto_takes_the_engine(run, engine_bundle, photos):
    assert run("restore", engine_bundle.path, photos, "--out", "out", "--json")[1]["backend"] == "tensorrt"


def test_untrusted_code_is_refused_and_may_run_for_once(run, engine_bundles, photos):
    path = engine_bundles.make(trusted=False).path
    command = ("restore", path, photos, "--out", "out", "--backend", "tensorrt", "--json")
    code, words = run(*command)
    assert code == 2 and "spair trust" in words and "--trust-code" in words and "Traceback" not in words
    assert not (photos.parent / "out").exists()
    assert run(*command, "--trust-code")[1]["backend"] == "tensorrt"


def test_a_bundle_without_engines_says_how_to_build_them(run, shipped, gpu, trt, photos):
    code, words = run("restore", shipped, photos, "--out", "out", "--backend", "tensorrt", "--json")
    assert code == 2 and "build it: spair build" in words and "--target local" in words


@pytest.mark.breaks
def test_a_gpu_that_is_lost_is_one_sentence_for_each_picture(run, gpu, engine_bundle, photos):
    gpu.fail("work", 700, after=3)
    code, words = run("restore", engine_bundle.path, photos, "--out", "out", "--backend", "tensorrt", "--json")
    assert code == 1 and "the GPU was lost" in words and "Traceback" not in words


def test_evaluate_runs_on_engines(run, engine_bundle, photos, tmp_path):
    (tmp_path / "clean").mkdir()
    for path in photos.iterdir():
        write_image(tmp_path / "clean" / path.name, Picture(np.full_like(read_image(path).pixels, 100)))
    arguments = ("--input", photos, "--clean", tmp_path / "clean", "--backend", "tensorrt", "--json")
    assert run("evaluate", engine_bundle.path, *arguments)[1]["count"] == 4
