"""Manifests are checked entry by entry, and unknown entries are kept."""

import json
import os

import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.bundle.manifest import parse_manifest
from spair.runtime.bundle.reader import MANIFEST
from spair.runtime.tiling.spec import ForeignNetwork
from tests.runtime.bundle.samples import GRAPH, edit


def test_unknown_keys_are_tolerated_and_kept(bundles):
    path = edit(bundles.spair(), colour="green")
    assert Bundle.open(path).manifest.raw["colour"] == "green"


def test_foreign_bundles_have_their_own_settings(bundles):
    assert bundles.other().manifest.network == ForeignNetwork(multiple=4, halo=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 7}, "schema 7 and this version reads up to schema 1; upgrade spair-rt"),
        ({"schema": "1"}, "schema is '1', expected a number"),
        ({"schema": None}, "schema is None"),
        ({"kind": "magic"}, "kind is 'magic', expected one of spair, foreign"),
        ({"kind": None}, "the entry 'kind' is missing"),
        ({"network": None}, "the entry 'network' is missing"),
        ({"network": {"halo_l": 8}}, "halo_r"),
        ({"network": {"halo_l": -1, "halo_r": 0}}, "halos must be >= 0"),
        ({"network": {"halo_l": 0, "halo_r": 0, "multiple": 6}}, r"must include .* must divide 6, got"),
        ({"graphs": {"fp32": ["a"]}}, "graphs must be a table"),
        ({"graphs": {"fp32": {"net_l": "other.onnx"}}}, "other.onnx is not listed among its files"),
        ({"files": {GRAPH: 5}}, "files must be a table"),
        ({"name": 3}, "name is 3, expected text"),
    ],
)
def test_bad_manifests_are_refused_in_one_sentence(bundles, changes, message):
    path = edit(bundles.spair(), **changes)
    with pytest.raises(UserError, match=message) as caught:
        Bundle.open(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "not JSON"), ("[]", "holds a list, expected an object"), ("", "not JSON")]
)
def test_files_that_are_no_manifest_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_manifest(text, "here")


def test_a_manifest_nested_beyond_reason_is_refused(bundles):
    bundle = bundles.spair()
    (bundle.path / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(UserError, match="not JSON"):
        Bundle.open(bundle.path)


def test_entries_that_a_manifest_may_leave_out_are_empty():
    text = json.dumps({"schema": 1, "kind": "foreign", "network": {}, "graphs": {}, "files": {}})
    manifest = parse_manifest(text, "here")
    assert (manifest.name, manifest.task, manifest.preset, manifest.opset) == ("", "", "", 0)
    assert (manifest.inputs, manifest.outputs, manifest.precisions) == ((), (), ())
    assert manifest.targets == manifest.operators == {}
    assert manifest.network == ForeignNetwork(multiple=1, halo=0)


@pytest.mark.parametrize("schema", [True, False, 0, -1, 1.0, "1"])
def test_only_a_whole_number_from_one_is_a_schema(schema):
    with pytest.raises(UserError, match=rf"here: its schema is {schema!r}, expected a number from 1 to 1"):
        parse_manifest(json.dumps({"schema": schema}), "here")


def test_a_newer_schema_is_refused_before_its_entries_are_judged():
    with pytest.raises(UserError, match="upgrade spair-rt"):
        parse_manifest(json.dumps({"schema": 2, "kind": "a kind of the future"}), "here")


def test_precisions_stand_in_the_order_of_the_manifest(bundles):
    bundle = bundles.spair()
    parts = bundle.manifest.raw["graphs"]["fp32"]
    path = edit(bundle, graphs={"int8": parts, "fp32": parts, "fp16": {}})
    assert Bundle.open(path).manifest.precisions == ("int8", "fp32", "fp16")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"schema": 1', '"schema": 1, "opset": ' + "9" * 5000),
        ('"schema": 1', '"schema": 1, "schema": 1'),
        ('"schema": 1', '"schema": 1, "parity": {"max_abs": NaN}'),
        ('"schema": 1', '"schema": 1, "colour": "\\ud800"'),
        ('"schema": 1', '"schema": 1, "network": ' + "[" * 500 + "]" * 500),
        ('"schema": 1', '"schema": 1, "kind": ["spair"]'),
    ],
)
def test_what_python_reads_beyond_json_is_refused(old, new):
    text = json.dumps({"schema": 1, "files": {}, "graphs": {}})
    assert old in text
    with pytest.raises(UserError, match="here: ") as caught:
        parse_manifest(text.replace(old, new), "here")
    assert str(caught.value).isprintable()


def test_a_manifest_that_could_block_is_not_opened(bundles):
    path = bundles.spair().path
    (path / MANIFEST).unlink()
    os.mkfifo(path / MANIFEST)
    with pytest.raises(UserError, match="it is a FIFO, expected a file"):
        Bundle.open(path)


def test_a_manifest_beyond_reason_is_not_read(bundles):
    path = bundles.spair().path
    with (path / MANIFEST).open("r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="too large"):
        Bundle.open(path)
