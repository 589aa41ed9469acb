"""Row programs become files of a bundle."""

import dataclasses

import onnx

from spair.export.rows.bundle import FILES, describe_rows
from spair.runtime.bundle.reader import Bundle
from spair.runtime.cpu.program import read_program


def test_the_files_are_named_by_their_precision(tiny_bundle, tmp_path):
    bundle = Bundle.open(tiny_bundle)
    graphs = {part: onnx.load(bundle.graph("fp32", part)) for part in ("net_l", "net_r")}
    fields, files = describe_rows(graphs, bundle, "int8")
    assert fields == {"rows": {"int8": {what: f"graphs/int8/{name}" for what, name in FILES.items()}}}
    for name, content in files.items():
        (tmp_path / name.rpartition("/")[2]).write_bytes(content)
    stored = bundle.manifest.rows["fp32"]
    made = read_program(tmp_path / FILES["program"], tmp_path / FILES["arrays"])
    assert made.to_files() == read_program(*(tiny_bundle / stored[what] for what in FILES)).to_files()


def test_a_bundle_without_a_program_gets_none(tiny_bundle):
    bundle = Bundle.open(tiny_bundle)
    without = Bundle(bundle.path, dataclasses.replace(bundle.manifest, rows={}), b"")
    assert describe_rows({}, without, "int8") == ({}, {})
