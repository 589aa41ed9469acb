"""A template with its weights is the exported bundle, and with others it is refused."""

import dataclasses
import hashlib

import numpy as np
import pytest

from spair.runtime import UserError
from spair.runtime.shipped.template import Stretch, Template, fill_template, read_template
from spair.runtime.shipped.tensors import read_tensors
from tests.runtime.shipped.conftest import TENSORS, write_checkpoint

WEIGHT, BIAS = TENSORS["conv.weight"], TENSORS["conv.bias"]
GRAPHS = {
    "graphs/fp32/a.onnx": b"head" + WEIGHT.tobytes() + b"middle" + BIAS.tobytes() + b"end",
    "graphs/fp32/b.onnx": WEIGHT.transpose(3, 2, 1, 0).tobytes()
    + b"-"
    + BIAS.reshape(10, 4).T.tobytes()
    + TENSORS["scale"].tobytes(),
}
"""File -> its bytes: weights as they are, reversed, and as a pixel shuffle wants them."""


def make_template() -> Template:
    stretches = {
        "graphs/fp32/a.onnx": [
            Stretch(4, "conv.weight", None),
            Stretch(6, "conv.bias", None),
            Stretch(3, None, None),
        ],
        "graphs/fp32/b.onnx": [
            Stretch(0, "conv.weight", (4, 3, 3, 3)),
            Stretch(1, "conv.bias", (10, 4)),
            Stretch(4, None, None),
        ],
    }
    manifest = {"files": {name: hashlib.sha256(content).hexdigest() for name, content in GRAPHS.items()}}
    return Template(manifest, stretches, b"headmiddleend-" + TENSORS["scale"].tobytes())


def test_filled_in_it_gives_the_graphs_byte_for_byte(checkpoint):
    assert fill_template(make_template(), read_tensors(checkpoint)) == GRAPHS


def test_a_template_file_comes_back_as_it_was(tmp_path):
    template = make_template()
    (tmp_path / "a.template").write_bytes(template.to_bytes())
    assert read_template(tmp_path / "a.template") == template


def test_other_weights_are_refused(tmp_path):
    other = {**TENSORS, "conv.bias": np.nextafter(BIAS, np.float32(2))}
    tensors = read_tensors(write_checkpoint(tmp_path / "other.safetensors", other))
    with pytest.raises(UserError, match=r"do not fit their template: graphs/fp32/a\.onnx would not be"):
        fill_template(make_template(), tensors)


def test_weights_of_another_shape_are_refused(tmp_path):
    other = {**TENSORS, "conv.bias": np.zeros(41, "<f4")}
    tensors = read_tensors(write_checkpoint(tmp_path / "other.safetensors", other))
    with pytest.raises(UserError, match=r"do not fit their template: .*in a clone run: make templates"):
        fill_template(make_template(), tensors)


@pytest.mark.parametrize("manifest", [{}, {"files": None}, None, []], ids=str)
def test_a_manifest_without_hashes_is_refused(checkpoint, manifest):
    template = dataclasses.replace(make_template(), manifest=manifest)
    with pytest.raises(UserError, match="do not fit their template"):
        fill_template(template, read_tensors(checkpoint))


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"", lambda data: b"x" + data])
def test_a_damaged_file_is_refused(tmp_path, damage):
    (tmp_path / "a.template").write_bytes(damage(make_template().to_bytes()))
    with pytest.raises(UserError, match=r"cannot read the template .*install spair-rt again"):
        read_template(tmp_path / "a.template")
