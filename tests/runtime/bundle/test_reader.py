"""Bundles are checked before use and refused in one sentence."""

import shutil

import pytest

from spair.runtime import Bundle, UserError
from spair.runtime.bundle.writer import write_bundle
from spair.runtime.tiling.spec import SpairNetwork
from tests.runtime.bundle.samples import GRAPH, edit


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
