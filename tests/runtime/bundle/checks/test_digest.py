"""One digest stands for a bundle: any change to what it holds is seen."""

import hashlib

import pytest

from spair.runtime import Bundle, Restorer, UserError
from spair.runtime.bundle.checks.digest import check_file_digest, is_digest, read_digests
from tests.runtime.bundle.samples import edit

OTHER = "0" * 64


def test_the_digest_is_what_sha256sum_says_of_the_manifest(bundles):
    bundle = bundles.spair()
    assert bundle.digest == hashlib.sha256((bundle.path / "manifest.json").read_bytes()).hexdigest()
    assert is_digest(bundle.digest)


def test_a_bundle_opens_with_its_digest_alone_or_among_others(bundles):
    bundle = bundles.spair()
    assert Bundle.open(bundle.path, expect_digest=[OTHER, bundle.digest]).digest == bundle.digest
    with Restorer.open(bundle.path, expect_digest=[bundle.digest]) as restorer:
        assert restorer.facts["digest"] == bundle.digest
    for opener in (Bundle.open, Restorer.open):
        with pytest.raises(UserError, match=rf"tiny\.spair has the digest {bundle.digest}, expected {OTHER}; it is"):
            opener(bundle.path, expect_digest=[OTHER])


@pytest.mark.parametrize("change", ["number", "file", "file and hash"])
def test_every_change_is_seen(bundles, change):
    bundle = bundles.spair()
    if change == "number":
        edit(bundle, network={**bundle.manifest.raw["network"], "eps": 1e-3})
    else:
        file = bundle.path / "graphs/fp32/net_r.onnx"
        file.write_bytes(file.read_bytes() + b"\x08\x09")  # another version of the format: still a valid graph
        if change == "file and hash":
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            edit(bundle, files={**bundle.manifest.files, "graphs/fp32/net_r.onnx": digest})
    with pytest.raises(UserError, match=r"has the digest|net_r\.onnx was changed"):
        Restorer.open(bundle.path, expect_digest=[bundle.digest])


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63, "0" * 65])
def test_a_text_that_is_no_digest_is_refused(text):
    with pytest.raises(UserError, match=r"is no digest, expected the 64 hexadecimal digits"):
        read_digests([text])


def test_digests_may_be_given_in_capitals(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"model")
    digest = hashlib.sha256(b"model").hexdigest()
    check_file_digest(tmp_path / "a.onnx", read_digests([f" {digest.upper()}\n"]))
    with pytest.raises(UserError, match=r"a\.onnx has the digest"):
        check_file_digest(tmp_path / "a.onnx", [OTHER])
