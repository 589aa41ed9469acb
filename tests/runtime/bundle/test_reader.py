"""Bundles are checked before use and refused in one sentence."""

import re
import shutil

import onnx
import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.bundle.reader import ReplacedError, reread
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.tiling.spec import SpairNetwork
from tests.runtime.bundle.samples import GRAPH, edit
from tests.runtime.conftest import spair_fields


def test_what_is_written_is_read_back(bundles):
    bundle = bundles.spair()
    manifest = Bundle.open(bundle.path).manifest
    assert manifest.network == SpairNetwork(halo_l=24, halo_r=16, multiple=8, grid=4, channels=(4, 6, 5))
    assert (manifest.kind, manifest.task, manifest.preset, manifest.opset) == ("spair", "rain", "tiny", 18)
    assert manifest.operators == {"SparseConv2d": 3}
    assert manifest.outputs == ("restored", "mask")
    assert bundle.precisions == ("fp32",)
    assert bundle.graph("fp32", "net_l").read_bytes() == bundles.net_l
    assert bundle.has_graph("fp32", "net_r") and not bundle.has_graph("fp16", "net_r")


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\\..\\b", "C:/x", "manifest.json"])
def test_paths_may_not_leave_the_bundle(bundles, tmp_path, name):
    bundle = bundles.spair()
    path = edit(bundle, files={**bundle.manifest.files, name: "0" * 64})
    with pytest.raises(UserError, match=r"may not be in a bundle"):
        Bundle.open(path)
    with pytest.raises(UserError, match=r"may not be in a bundle"):
        write_bundle(tmp_path / "new.spair", bundle.manifest.raw, {name: b""})
    assert not (tmp_path / "new.spair").exists()


def test_links_may_not_leave_the_bundle_but_the_bundle_may_be_a_link(bundles, tmp_path):
    bundle = bundles.spair()
    (tmp_path / "link.spair").symlink_to(bundle.path)
    Bundle.open(tmp_path / "link.spair").graph("fp32", "net_l")
    secret = tmp_path / "secret"
    secret.write_bytes(bundles.net_l)
    (bundle.path / GRAPH).unlink()
    (bundle.path / GRAPH).symlink_to(secret)
    with pytest.raises(UserError, match=r"is a link to a file outside; export it again"):
        Bundle.open(bundle.path)


def with_outside(bundles, place, files=()):
    """A bundle whose first stage takes the weight of a layer from another file."""
    model = onnx.load_from_string(bundles.net_l)
    moved = model.graph.initializer[0]
    content = moved.raw_data
    moved.ClearField("raw_data")
    moved.data_location = onnx.TensorProto.EXTERNAL
    moved.external_data.add(key="location", value=place)
    graphs = {GRAPH: model.SerializeToString(), "graphs/fp32/net_r.onnx": bundles.net_r}
    more = dict.fromkeys(files, content)
    bundle = write_bundle(bundles.folder / "outside.spair", spair_fields(), {**graphs, **more}, force=True)
    return bundle, content


@pytest.mark.parametrize("place", ["weights.bin", "../../../weights.bin", "/weights.bin", "*/_ORT_MEM_ADDR_/*"])
def test_weights_in_a_file_that_is_not_listed_are_refused(bundles, place):
    bundle, content = with_outside(bundles, place)
    (bundle.path / "graphs/fp32/weights.bin").write_bytes(content)
    for use in (lambda: bundle.graph("fp32", "net_l"), lambda: Restorer.open(bundle.path)):
        with pytest.raises(
            UserError, match=rf"weights from the file '{re.escape(place)}', which the manifest does not"
        ):
            use()


def test_a_listed_name_that_means_something_else_to_onnx_runtime_is_refused(bundles):
    bundle, _ = with_outside(bundles, "*/_ORT_MEM_ADDR_/*", ["graphs/fp32/*/_ORT_MEM_ADDR_/*"])
    with pytest.raises(UserError, match=r"weights from the file '\*/_ORT_MEM_ADDR_/\*'"):
        bundle.graph("fp32", "net_l")


def test_weights_in_a_listed_file_are_taken_while_its_hash_is_right(bundles):
    bundle, content = with_outside(bundles, "weights.bin", ["graphs/fp32/weights.bin"])
    with Restorer.open(bundle.path, backend="onnxruntime"):
        pass
    (bundle.path / "graphs/fp32/weights.bin").write_bytes(content[::-1])
    with pytest.raises(UserError, match=r"weights\.bin was changed"):
        Restorer.open(bundle.path, backend="onnxruntime")


def test_the_digest_of_a_graph_stands_for_weights_in_other_files_too(bundles):
    plain = bundles.spair()
    assert plain.graph_digest("fp32", "net_l") == plain.manifest.files[GRAPH]
    assert plain.graph_digest("fp32", "none") == plain.graph_digest("fp16", "net_l") == "absent"
    bundle, content = with_outside(bundles, "weights.bin", ["graphs/fp32/weights.bin"])
    before, own = bundle.graph_digest("fp32", "net_l"), bundle.manifest.files[GRAPH]
    files = {**bundle.contents(), "graphs/fp32/weights.bin": content[::-1]}
    other = write_bundle(bundle.path, spair_fields(), files, force=True)
    assert other.manifest.files[GRAPH] == own, "the graph's own file is the same"
    assert len({own, before, other.graph_digest("fp32", "net_l")}) == 3
    stray, _ = with_outside(bundles, "weights.bin")
    with pytest.raises(UserError, match=r"weights from the file 'weights\.bin', which the manifest does not"):
        stray.graph_digest("fp32", "net_l")


def test_missing_things_are_named(bundles, tmp_path):
    with pytest.raises(UserError, match=r"does not exist, expected a folder written by spair export"):
        Bundle.open(tmp_path / "none.spair")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"it is a file"):
        Bundle.open(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no manifest.json"):
        Bundle.open(tmp_path / "empty")
    bundle = bundles.spair()
    with pytest.raises(UserError, match=r"no fp16 graphs \(it has: fp32\); make them with: spair calibrate"):
        bundle.graph("fp16", "net_l")
    with pytest.raises(UserError, match=r"no fp32 graph 'model', only net_l, net_r"):
        bundle.graph("fp32", "model")
    with pytest.raises(UserError, match=r"lists no file 'x'"):
        bundle.file("x")
    (bundle.path / GRAPH).unlink()
    with pytest.raises(UserError, match=rf"incomplete: {GRAPH} is missing"):
        Bundle.open(bundle.path)


def test_a_changed_file_is_refused_before_use(bundles):
    bundle = bundles.spair()
    with (bundle.path / GRAPH).open("ab") as stream:
        stream.write(b"!")
    opened = Bundle.open(bundle.path)
    with pytest.raises(UserError, match=r"was changed: its SHA-256 is .* the manifest says .* export"):
        opened.graph("fp32", "net_l")
    assert opened.graph("fp32", "net_r").is_file()


def test_a_moved_bundle_still_opens(bundles, tmp_path):
    shutil.copytree(bundles.spair().path, tmp_path / "elsewhere" / "copy.spair")
    assert Bundle.open(tmp_path / "elsewhere" / "copy.spair").graph("fp32", "net_l").is_file()


def test_a_reader_of_a_replaced_bundle_is_told_so(bundles):
    opened = bundles.spair()
    files = {**opened.contents(), GRAPH: b"retrained"}
    write_bundle(opened.path, {**opened.manifest.raw, "task": "shadow"}, files, force=True)
    with pytest.raises(ReplacedError, match="was replaced while it was read; run the command again"):
        opened.contents()
    damaged = Bundle.open(opened.path)
    (opened.path / GRAPH).write_bytes(b"damaged")
    with pytest.raises(UserError, match="was changed") as caught:
        damaged.contents()
    assert not isinstance(caught.value, ReplacedError)


def test_reading_begins_anew_when_a_bundle_is_replaced_meanwhile(bundles):
    path, reads = bundles.spair().path, []

    def read():
        opened = Bundle.open(path)
        if len(reads) < 2:
            files = {**opened.contents(), GRAPH: b"%d" % len(reads)}
            write_bundle(path, {**opened.manifest.raw, "task": f"t{len(reads)}"}, files, force=True)
        reads.append(opened.manifest.task)
        return opened.contents(), opened.manifest.task

    assert reread(read)[1] == "t1"
    assert reads == ["rain", "t0", "t1"]
