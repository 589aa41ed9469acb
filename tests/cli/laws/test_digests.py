"""Every verb that opens a model refuses one with another digest than it was told to expect."""

import json

import pytest

from spair.cli.main import VERBS
from spair.runtime import Bundle
from spair.runtime.images import Picture, write_image
from tests.runtime.samples import photo

WITHOUT = {"models", "demo", "doctor", "train"}
"""Verbs that take no model of the user's."""
OTHER = "0" * 64


@pytest.fixture
def arguments(tiny_bundle, tmp_path):
    """Verb -> its arguments, up to the digest."""
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in" / "a.png", Picture((photo(16, 16) * 255).astype("uint8")))
    folder, out = tmp_path / "in", tmp_path / "out"
    given = {
        "restore": [tiny_bundle, folder, "--out", out],
        "serve": [tiny_bundle],
        "export": [tiny_bundle, "--served", tmp_path / "served.onnx"],
        "calibrate": [tiny_bundle, "--images", folder, "--precision", "fp16"],
        "build": [tiny_bundle, "--target", "rtx"],
        "repository": [tiny_bundle, "--out", out],
        "trust": [tiny_bundle],
        "evaluate": [tiny_bundle, "--input", folder, "--clean", folder],
        "profile": [tiny_bundle],
        "inspect": [tiny_bundle],
    }
    assert {verb.run.__name__ for verb in VERBS} - WITHOUT == set(given)
    return given


@pytest.mark.parametrize("verb", sorted({verb.run.__name__ for verb in VERBS} - WITHOUT - {"serve"}))
def test_a_verb_refuses_a_model_with_another_digest(spair, arguments, tiny_bundle, tmp_path, verb):
    before = sorted(tmp_path.rglob("*"))
    done = spair(verb, *arguments[verb], "--expect-digest", OTHER)
    done.refused(rf"has the digest {Bundle.open(tiny_bundle).digest}, expected {OTHER}; it is another model or was")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("verb", sorted({verb.run.__name__ for verb in VERBS} - WITHOUT))
def test_what_is_no_digest_is_refused(spair, arguments, verb):
    spair(verb, *arguments[verb], "--expect-digest", "12ab").refused(r"'12ab' is no digest, expected the 64 hexa")


def test_a_server_hands_the_digests_to_its_models(spair, arguments, monkeypatch):
    seen = []
    monkeypatch.setattr("spair.serving.server.serve", lambda *given, **more: seen.append(given[1]) or 0)
    digests = (OTHER, "1" * 64)
    spair("serve", *arguments["serve"], *(word for one in digests for word in ("--expect-digest", one)))
    assert seen[0].expect_digest == digests


@pytest.mark.parametrize("verb", ["restore", "evaluate", "inspect", "export"])
def test_checkpoints_have_digests_as_well(spair, arguments, tiny_checkpoint, verb, tmp_path):
    given = [tiny_checkpoint if str(one).endswith(".spair") else one for one in arguments[verb]]
    given += ["--out", tmp_path / "own.spair"] if verb == "export" else []
    spair(verb, *given, "--expect-digest", OTHER).refused(
        rf"rain-tiny\.safetensors has the digest .*, expected {OTHER}"
    )


def test_a_model_with_the_digest_is_taken(spair, arguments, tiny_bundle):
    digest = Bundle.open(tiny_bundle).digest
    report = json.loads(spair("inspect", tiny_bundle, "--json", "--expect-digest", digest).out)
    assert report["digest"] == digest
