"""Row programs are read as they were written, and others are refused with sentences."""

import json

import numpy as np
import pytest

from spair.runtime.bundle.reader import Bundle
from spair.runtime.cpu.program import ALIGNMENT, RowProgram, read_program
from spair.runtime.errors import UserError


@pytest.fixture
def files(tiny_bundle, tmp_path):
    """Copies of the two files."""
    bundle = Bundle.open(tiny_bundle)
    paths = []
    for what in ("program", "arrays"):
        path = tmp_path / what
        path.write_bytes(bundle.file(bundle.manifest.rows["fp32"][what]).read_bytes())
        paths.append(path)
    return paths


def write(path, change):
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


def test_a_program_is_read_as_it_was_written(files):
    program = read_program(*files)
    assert isinstance(program, RowProgram) and program.features == ("f0", "f1", "f2")
    text, data = program.to_files()
    assert (text, data) == (files[0].read_bytes(), files[1].read_bytes())


def test_the_weights_are_the_checkpoints(files, tiny_checkpoint):
    from safetensors.numpy import load_file

    stored = load_file(tiny_checkpoint)
    program = read_program(*files)
    assert {name.removeprefix("model.") for name in program.arrays} == set(stored)
    for name, array in program.arrays.items():
        np.testing.assert_array_equal(array, stored[name.removeprefix("model.")])
    places = [entry["offset"] for entry in json.loads(files[0].read_text())["arrays"].values()]
    assert all(place % ALIGNMENT == 0 for place in places)


def test_a_later_format_asks_for_an_upgrade(files):
    write(files[0], lambda raw: raw.update(format=2))
    with pytest.raises(UserError, match="has the format 2 and this version reads up to 1; upgrade spair-rt"):
        read_program(*files)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: raw.pop("net_r"), "'net_r' is missing"),
        (lambda raw: raw["net_l"][0].update(op="other"), "'other' is missing or unknown"),
        (lambda raw: raw["net_l"][0].update(stride="2"), "stride of the step net_l.stem is '2', expected int"),
        (lambda raw: raw["net_l"][0].update(relu=1), "relu of the step net_l.stem is 1, expected bool"),
        (lambda raw: raw["net_l"][0].pop("x"), "missing"),
        (lambda raw: raw["net_l"][0].update(more=1), "'more' is missing or unknown"),
        (lambda raw: next(iter(raw["arrays"].values())).update(offset=10**9), "offset"),
        (lambda raw: raw.update(net_l=5), "export the bundle again"),
    ],
)
def test_what_is_no_program_is_refused(files, change, words):
    write(files[0], change)
    with pytest.raises(UserError, match=rf"cannot read the row program .*{words}"):
        read_program(*files)


def test_files_that_are_cut_off_are_refused(files):
    files[1].write_bytes(files[1].read_bytes()[:1000])
    with pytest.raises(UserError, match="cannot read the row program"):
        read_program(*files)
    files[0].write_text("{")
    with pytest.raises(UserError, match="cannot read the row program"):
        read_program(*files)
