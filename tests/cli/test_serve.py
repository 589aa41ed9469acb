"""`spair serve`: names of models, and what is refused before anything is opened."""

import inspect
import json

import pytest

from spair.cli import serve as verb
from spair.cli.shared.names import name_models
from spair.runtime import UserError
from spair.serving.options import Limits, ModelOptions


def test_models_have_the_names_of_their_bundles_or_given_ones(tiny_bundle, tmp_path):
    (tmp_path / "other.spair").mkdir()
    named = name_models([str(tiny_bundle), f"night={tmp_path / 'other.spair'}", str(tmp_path / "served.onnx")])
    assert named == {
        "rain-tiny": tiny_bundle,
        "night": tmp_path / "other.spair",
        "served": tmp_path / "served.onnx",
    }


def test_names_of_shipped_weights_are_names_of_models(tmp_path):
    named = name_models(["rain", "wet=rain"])
    assert list(named) == ["rain", "wet"] and named["rain"] == named["wet"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["a/x.spair", "b/x.spair"], "a/x.spair and b/x.spair would both be served as x; .*NAME=b/x.spair"),
        (["rain=a.spair", "rain=b.spair"], "would both be served as rain"),
        (["x_bytes.spair"], "served as 'x_bytes', expected .* does not end with _bytes; give NAME=x_bytes.spair"),
        (["a b.spair"], "would be served as 'a b', expected letters"),
        (["model.safetensors"], "model.safetensors is no bundle; export the checkpoint first: spair export"),
        (["nosuchname"], "there is no model nosuchname"),
    ],
)
def test_names_that_cannot_be_served_are_refused(arguments, match, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=match):
        name_models(arguments)


def test_limits_are_those_of_the_server_where_nothing_is_given():
    given = {name: parameter.default for name, parameter in inspect.signature(verb.serve).parameters.items()}
    limits = Limits()
    assert (given["max_pixels"], given["max_queue"], given["timeout"]) == (limits.pixels, limits.queue, limits.seconds)
    assert given["max_viewers"] == limits.viewers
    assert given["max_body"] * 1024**2 == limits.body_bytes
    assert (given["batch"], given["flips"]) == (ModelOptions().batch, ModelOptions().flips)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--cert", "c.pem"], "--cert and --key go together"),
        (["--key", "c.key"], "--cert and --key go together"),
        (["--cert", "c.pem", "--key", "c.key"], "cannot read c.pem of --cert: No such file"),
        (["--token-file", "absent"], "cannot read the token from absent"),
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached from other machines, and no token is asked for"),
        (["--host", "no such host"], "cannot find the address of the host"),
        (["--port", "8001"], "the ports are 8001 and 8001, expected two different ones"),
        (["--max-queue", "0"], "invalid value for '--max-queue'"),
        (["--timeout", "0"], "invalid value for '--timeout'"),
        (["--port", "65536"], "the ports are 65536 and 8001, expected two different ones from 0 to 65535"),
        (["--max-viewers", "0"], "invalid value for '--max-viewers'"),
        (["--live", "camera:0"], "--live camera:0 does not begin with a name of letters"),
        (["--live", "yard:blur=camera:0"], "--live yard:blur is for the model 'blur', and served are rain-tiny"),
        (["--live", "yard=pipe:size=3x5"], "yard shows 'pipe:size=3x5', expected a camera or a stream"),
        (["--grace", "-1"], "invalid value for '--grace'"),
        (["--flips", "3"], "the number of flips is 3, expected 1, 2 or 4"),
    ],
)
def test_bad_options_are_one_sentence(spair, tiny_bundle, options, match, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(verb.TOKEN, raising=False)
    spair("serve", tiny_bundle, *options).refused(match)


@pytest.mark.parametrize("token", ["short", "with blanks in it, long enough"])
def test_a_weak_token_is_refused_and_not_shown(spair, tiny_bundle, token, monkeypatch):
    monkeypatch.setenv(verb.TOKEN, token)
    done = spair("serve", tiny_bundle, "--port", 0)
    done.refused(f"the token has {len(token)} characters, expected at least 16 without blanks")
    assert token not in done.err


def test_every_option_reaches_the_server(spair, tiny_bundle, monkeypatch, tmp_path):
    from spair.serving import server

    asked = {}

    def serve(models, options, doors, **rest):
        asked.update(models=models, options=options, doors=doors, **rest)
        rest["say"]("a sentence")
        rest["tell_ready"]({"models": ["x"], "http": "127.0.0.1:1", "grpc": None, "pid": 7})
        return 1

    monkeypatch.setattr(server, "serve", serve)
    monkeypatch.setenv(verb.TOKEN, "0123456789abcdef")
    options = "--host 127.0.0.2 --port 5 --no-grpc --cert c --key k --grace 2 --max-pixels 9 --max-body 3 --max-queue 4"
    options += " --max-viewers 7 --live yard=camera:0 --live gate:x=csi:1 --flips 4"
    options += (
        " --timeout 6.5 --precision fp16 --backend onnxruntime --threads 2 --tile 64 --batch 8 --trust-code --json"
    )
    done = spair("serve", f"x={tiny_bundle}", *options.split())
    assert done.code == 1 and done.err == "a sentence\n"
    assert json.loads(done.out) == {"models": ["x"], "http": "127.0.0.1:1", "grpc": None, "pid": 7}
    doors, limits, opened = asked["doors"], asked["limits"], asked["options"]
    assert asked["models"] == {"x": tiny_bundle} and asked["token"] == "0123456789abcdef"
    assert (doors.host, doors.http_port, doors.grpc_port, doors.grace) == ("127.0.0.2", 5, None, 2.0)
    assert (str(doors.tls.certificate), str(doors.tls.key)) == ("c", "k")
    assert (limits.pixels, limits.body_bytes, limits.queue, limits.seconds) == (9, 3 * 1024**2, 4, 6.5)
    assert limits.viewers == 7
    assert [(one.name, one.model, one.source.shown) for one in asked["views"]] == [
        ("yard", "x", "camera:0"), ("gate", "x", "csi:1"),
    ]  # fmt: skip
    assert (opened.precision, opened.backend, opened.threads) == ("fp16", "onnxruntime", 2)
    assert (opened.tile, opened.batch, opened.flips, opened.trust_code) == (64, 8, 4, True)
