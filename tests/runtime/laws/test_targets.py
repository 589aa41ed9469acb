"""What was built for targets: kept in the manifest, replaced as a whole, refused where it is no table."""

import json

import pytest

from spair.runtime.bundle.reader import Bundle
from spair.runtime.bundle.writer import extend_bundle
from spair.runtime.errors import UserError

ENTRY = {"library": "plugins/l4/lib.so", "architectures": [89]}


def test_a_bundle_without_targets_has_none(bundles):
    assert bundles.spair().manifest.targets == {}


def test_targets_are_kept_when_a_bundle_is_extended(bundles):
    built = extend_bundle(bundles.spair(), {"targets": {"l4": ENTRY}}, {"plugins/l4/lib.so": b"code"})
    again = extend_bundle(built, {"note": 1}, {"report.json": b"{}"})
    assert again.manifest.targets == {"l4": ENTRY}
    assert again.file("plugins/l4/lib.so").read_bytes() == b"code"


def test_files_under_a_prefix_are_left_out_and_no_others(bundles):
    files = dict.fromkeys(("plugins/l4/a", "plugins/l4/deep/b", "plugins/l40/c", "engines/l4/d"), b"old")
    built = extend_bundle(bundles.spair(), {}, files)
    kept = set(built.contents())
    again = extend_bundle(built, {}, {"plugins/l4/a": b"new"}, without=("plugins/l4/",))
    assert set(again.contents()) == kept - {"plugins/l4/deep/b"}
    assert again.file("plugins/l4/a").read_bytes() == b"new"
    assert not (again.path / "plugins/l4/deep").exists()


@pytest.mark.parametrize("targets", [["l4"], {"l4": "plugins"}, "l4", {"l4": None}])
def test_targets_that_are_no_tables_are_refused(bundles, targets):
    bundle = bundles.spair()
    file = bundle.path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "targets": targets}))
    with pytest.raises(UserError, match="its targets must be a table"):
        Bundle.open(bundle.path)
