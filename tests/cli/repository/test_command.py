"""`spair repository`: what it refuses leaves nothing behind, and what it writes is what it reports."""

import pytest

from spair.serving.repository.configs import parse_config
from spair.serving.repository.releases import RELEASES
from tests.serving.repository.engines import add_engine


@pytest.fixture
def out(tmp_path):
    return tmp_path / "triton"


def test_the_json_names_models_with_their_files_and_the_command(spair, tiny_bundle, out):
    run = spair("repository", tiny_bundle, f"night={tiny_bundle}", "--out", out, "--triton", "24.10", "--json")
    assert run.code == 0, run.err
    assert {key: run.json[key] for key in ("out", "triton")} == {"out": str(out), "triton": "24.10"}
    assert [one["name"] for one in run.json["models"]] == [
        "rain-tiny", "rain-tiny_bytes", "night", "night_bytes", "spair_decode", "spair_encode",
    ]  # fmt: skip
    for model in run.json["models"]:
        assert all((out / file).is_file() for file in model["files"])
    assert run.json["command"].startswith(f"tritonserver --model-repository={out}/models ")


def test_the_text_names_the_models_and_the_command(spair, tiny_bundle, out):
    run = spair("repository", tiny_bundle, "--out", out)
    assert run.code == 0, run.err
    assert f"for Triton {RELEASES[-1].name}" in run.out
    assert "rain-tiny_bytes: ensemble" in run.out
    assert "tritonserver --model-repository=" in run.out


def test_options_reach_the_configurations(spair, tiny_bundle, out):
    words = ["--device", "cuda", "--batch", "2", "--instances", "3", "--max-queue", "5", "--timeout", "1.5"]
    run = spair("repository", tiny_bundle, "--out", out, *words, "--usual-size", "40x30", "--max-pixels", "99")
    assert run.code == 0, run.err
    config = parse_config((out / "models" / "rain-tiny_batched" / "config.pbtxt").read_text())
    assert (config.max_batch_size, config.instance_group[0].count) == (2, 3)
    policy = config.dynamic_batching.default_queue_policy
    assert (policy.max_queue_size, policy.default_timeout_microseconds) == (5, 1_500_000)
    assert list(config.model_warmup[1].inputs["image"].dims) == [3, 30, 40]
    decode = parse_config((out / "models" / "spair_decode" / "config.pbtxt").read_text())
    assert decode.parameters["max_pixels"].string_value == "99"


def test_cuda_puts_requests_together_unless_told_not_to(spair, tiny_bundle, tmp_path):
    for name, words, batched in (("a", [], True), ("b", ["--batch", "1"], False)):
        run = spair("repository", tiny_bundle, "--out", tmp_path / name, "--device", "cuda", *words)
        assert run.code == 0, run.err
        assert (tmp_path / name / "models" / "rain-tiny_batched").exists() is batched


def test_an_older_repository_is_replaced_by_force_alone(spair, tiny_bundle, out):
    assert spair("repository", tiny_bundle, "--out", out).code == 0
    spair("repository", tiny_bundle, "--out", out).refused("the folder is not empty; replace it with --force")
    assert spair("repository", f"night={tiny_bundle}", "--out", out, "--force").code == 0
    assert not (out / "models" / "rain-tiny").exists()
    (out / "notes.txt").write_text("mine")
    run = spair("repository", tiny_bundle, "--out", out, "--force")
    run.refused(r"notes\.txt in it was not written by spair repository and would be lost")
    assert (out / "models" / "night").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["--triton", "19.01"],
            "there is no release '19.01' of Triton's container in the table; expected one of 24.01",
        ),
        (["--device", "gpu"], "the device is 'gpu', expected one of cpu, cuda, tensorrt"),
        (["--usual-size", "40"], "the size '40' is not WIDTHxHEIGHT"),
        (["--precision", "int8"], "has no int8 graphs"),
        (["--device", "tensorrt"], "has no fp32 engine for serving of the target local"),
        (["--tensorrt", "ten"], "the version of TensorRT is 'ten', expected one like 10.5.0.18"),
    ],
)
def test_what_cannot_be_served_is_refused_and_writes_nothing(spair, tiny_bundle, out, words, sentence):
    spair("repository", tiny_bundle, "--out", out, *words).refused(sentence)
    assert not out.exists()


def test_an_engine_of_another_tensorrt_than_the_containers_is_refused(spair, tiny_bundle, tmp_path, out):
    bundle = add_engine(tiny_bundle, tmp_path / "rain.spair")
    words = ["repository", bundle, "--out", out, "--device", "tensorrt", "--triton"]
    spair(*words, "24.08").refused(
        r"was built by TensorRT 10\.5\.0\.18, and the container 24\.08 has TensorRT 10\.3\.0\.26, .*: spair build"
    )
    spair(*words, "25.01").refused("the TensorRT of the container 25.01 is not in the table; give it with --tensorrt")
    assert not out.exists()
    assert spair(*words, "25.01", "--tensorrt", "10.5.0").code == 0
    assert (out / "plugins" / "libspair_plugins_autoload.so").is_file()
