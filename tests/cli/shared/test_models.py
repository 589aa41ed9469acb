"""Models are told apart by their paths, and refusals say what to give."""

from pathlib import Path

import pytest

from spair.cli.shared.models import Execution, choose_path, is_checkpoint, open_model, read_threshold
from spair.runtime import UserError


@pytest.mark.parametrize(
    ("dense", "packed", "path"), [(False, False, "auto"), (True, False, "dense"), (False, True, "packed")]
)
def test_the_options_choose_a_path(dense, packed, path):
    assert choose_path(dense, packed) == path


def test_both_paths_are_refused():
    with pytest.raises(UserError, match="--force-dense and --force-packed exclude each other"):
        choose_path(True, True)


def test_files_and_checkpoint_suffixes_are_checkpoints(tmp_path):
    (tmp_path / "x.pth").mkdir()
    (tmp_path / "file").touch()
    assert [is_checkpoint(tmp_path / name) for name in ("x.pth", "file", "absent", "absent.ckpt")] == [
        False, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("execution", "match"),
    [
        (Execution(backend="onnxruntime"), "runs on torch, not on onnxruntime; export it first"),
        (Execution(tile_path="packed"), "which runs dense; --force-packed needs a bundle"),
        (Execution(precision="int8"), "runs in fp32, not in int8; export it first"),
    ],
)
def test_a_checkpoint_is_refused_in_settings_of_bundles(execution, match):
    with pytest.raises(UserError, match=match):
        open_model(Path("a.pth"), execution)


def test_a_threshold_is_a_number_or_a_name():
    assert [read_threshold(text) for text in (None, "0.25", "1", "1e-3", "best")] == [None, 0.25, 1.0, 1e-3, "best"]
    for text in ("1.5", "nan", "-0.1", "half", ""):
        with pytest.raises(UserError, match="the threshold is .*, expected a number from 0 to 1, or one of fast, bal"):
            read_threshold(text)


def test_a_checkpoint_takes_a_threshold(tiny_checkpoint):
    with open_model(tiny_checkpoint, Execution(threads=1, threshold=0.25)) as restorer:
        assert restorer.threshold == 0.25


@pytest.mark.parametrize(
    ("execution", "factory", "match"),
    [
        (Execution(), "a.b:c", "--factory is for checkpoints, but a.spair is a bundle"),
        (Execution(backend="torch"), None, "a.spair is a bundle, which does not run on torch"),
    ],
)
def test_a_bundle_is_refused_in_settings_of_checkpoints(execution, factory, match):
    with pytest.raises(UserError, match=match):
        open_model(Path("a.spair"), execution, factory=factory)
