"""The real Triton takes configurations of repositories, and refuses those that are spoilt.

One server gets them all: repositories for GPUs, of which it says what it lacks, and models with one mistake each.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException

from spair.runtime.backends.onnxruntime import OnnxGraph
from spair.serving.repository.configs import format_config, parse_config
from spair.serving.repository.readme import MODELS
from spair.serving.repository.releases import find_release
from spair.serving.repository.settings import Settings
from spair.serving.repository.write import write_repository
from tests.serving.repository.engines import add_engine
from tests.serving.triton.fixtures import USUAL
from tests.serving.triton.server import running

CPU = 2
"""Number of KIND_CPU."""


def spoil_shape(config: Any) -> None:
    config.output[1].dims[1] = 3


def spoil_size(config: Any) -> None:
    config.input[0].dims[1] = 0


def spoil_type(config: Any) -> None:
    config.model_warmup[0].inputs["image"].data_type = config.output[2].data_type


def spoil_name(config: Any) -> None:
    config.name = "another"


def spoil_output(config: Any) -> None:
    config.output[0].name = "absent"


def spoil_batches(config: Any) -> None:
    config.dynamic_batching.preferred_batch_size.append(9)


def spoil_member(config: Any) -> None:
    config.ensemble_scheduling.step[0].model_name = "absent"


def spoil_tensor(config: Any) -> None:
    config.ensemble_scheduling.step[2].input_map["pixels"] = "absent"


def spoil_member_shape(config: Any) -> None:
    config.output[2].dims.append(2)


SPOILT: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "shape": ("rain", spoil_shape, r"mask has the shape \[-1, 1, -1, -1\] in the graph"),
    "size": ("rain", spoil_size, "must be integer >= 1, or -1"),
    "type": ("rain", spoil_type, "data-type is 'FP32', but model 'spoilt_type' expects 'UINT8'"),
    "name": ("rain", spoil_name, "unexpected directory name"),
    "output": ("rain", spoil_output, "KeyError: 'absent'"),
    "batches": ("rain", spoil_batches, "preferred size must be <= max batch size"),
    "member": ("rain_bytes", spoil_member, "contains models that are not available"),
    "tensor": ("rain_bytes", spoil_tensor, "'absent', is not connected"),
    "member_shape": ("rain_bytes", spoil_member_shape, "inconsistent shape"),
}
"""Name -> the model that is spoilt, how, and words of the server's refusal."""


@pytest.fixture(scope="module")
def states(
    triton_packages: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[http_client.InferenceServerClient, dict[str, str], Path]]:
    """A server that got every repository; its client, the reasons of refusals (empty: ready), and the folder."""
    folder = tmp_path_factory.mktemp("refusals")
    engine = add_engine(tiny_bundle, folder / "engine.spair", batch=2)
    release = find_release("24.10")
    write_repository({"rain": tiny_bundle}, folder / "cpu", Settings(release=release, usual=USUAL, threads=1, queue=1))
    write_repository({"gpu": tiny_bundle}, folder / "cuda", Settings("cuda", release, usual=USUAL, batch=4))
    write_repository({"engine": engine}, folder / "tensorrt", Settings("tensorrt", release))
    write_repository({"both": tiny_bundle}, folder / "batched", Settings("cuda", release, usual=USUAL, batch=4))
    move_to_cpu(folder / "batched" / MODELS / "both_batched" / "config.pbtxt")
    for name, (model, spoil, _) in SPOILT.items():
        spoil_model(folder / "cpu" / MODELS / model, folder / "spoilt" / f"spoilt_{name}", spoil)
    for name in ("cuda", "tensorrt", "batched"):
        for step in (folder / name / MODELS).glob("spair_*"):
            shutil.rmtree(step)  # the same as in the first repository, where every name counts once
    (folder / "work").mkdir()
    command = f"tritonserver --model-repository={folder / 'cpu' / MODELS} --disable-auto-complete-config"
    others = [folder / name / MODELS for name in ("cuda", "tensorrt", "batched")] + [folder / "spoilt"]
    options = [f"--model-repository={other}" for other in others]
    with (
        running(command, folder / "work", *options, lenient=True) as server,
        http_client.InferenceServerClient(server.http_address) as client,
    ):
        (folder / "work" / "address").write_text(server.http_address)
        log = server.read_log()
        index = client.get_model_repository_index()
        yield (
            client,
            {one["name"]: "" if one.get("state") == "READY" else read_reason(one, log) for one in index},
            folder,
        )


def read_reason(entry: dict[str, str], log: str) -> str:
    """The reason of the index, or what the log says of a model that did not come that far."""
    own = re.compile(rf"(?<![\w-]){re.escape(entry['name'])}(?![\w-])")
    lines = [line for line in log.splitlines() if line.startswith("E") and own.search(line)]
    return " ".join([entry.get("reason", ""), *lines]) or "unavailable"


def move_to_cpu(file: Path) -> None:
    """What a machine without a GPU can load of a configuration for one."""
    config = parse_config(file.read_text())
    config.instance_group[0].kind = CPU
    file.write_bytes(format_config(config))


def spoil_model(model: Path, place: Path, spoil: Callable[[Any], None]) -> None:
    shutil.copytree(model, place)
    config = parse_config((place / "config.pbtxt").read_text())
    config.name = place.name
    spoil(config)
    (place / "config.pbtxt").write_bytes(format_config(config))


@pytest.mark.parametrize("name", ["rain", "rain_bytes", "spair_decode", "spair_encode"])
def test_models_that_are_not_spoilt_are_ready_beside_the_others(states, name):
    _, reasons, _ = states
    assert reasons[name] == ""


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_configuration_is_refused(states, name):
    _, reasons, _ = states
    assert re.search(SPOILT[name][2], reasons[f"spoilt_{name}"])


def test_an_engine_is_refused_for_the_missing_backend_alone(states):
    _, reasons, _ = states
    assert "unable to find backend library for backend 'tensorrt'" in reasons["engine_batched"]
    assert "depends on 'engine_batched'" in reasons["engine"]


def test_a_graph_for_cuda_is_refused_for_the_missing_gpu_alone(states):
    _, reasons, _ = states
    assert "has kind KIND_GPU but no GPUs are available" in reasons["gpu_batched"]
    assert "depends on 'gpu_batched'" in reasons["gpu"]


@pytest.mark.parametrize("count", [1, 4])
def test_a_model_that_puts_requests_together_gives_the_contract(states, count):
    client, reasons, folder = states
    assert (reasons["both_batched"], reasons["both"], reasons["both_bytes"]) == ("", "", "")
    images = np.random.default_rng(count).integers(0, 256, (count, 3, 9, 14), np.uint8)
    given = http_client.InferInput("image", images.shape, "UINT8")
    given.set_data_from_numpy(images)
    answer = client.infer("both", [given])
    with OnnxGraph(folder / "batched" / MODELS / "both_batched" / "1" / "model.onnx", threads=1) as graph:
        for name, expected in graph.run({"image": images}).items():
            np.testing.assert_array_equal(answer.as_numpy(name), expected)


def test_more_pictures_than_a_batch_holds_are_refused(states):
    client, _, _ = states
    images = np.zeros((5, 3, 4, 4), np.uint8)
    given = http_client.InferInput("image", images.shape, "UINT8")
    given.set_data_from_numpy(images)
    with pytest.raises(InferenceServerException, match="batch-size must be <= 4"):
        client.infer("both", [given])


def test_requests_beyond_the_queue_are_refused(states):
    _, _, folder = states
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 320, 256), np.uint8)
    address = (folder / "work" / "address").read_text()
    with http_client.InferenceServerClient(address, concurrency=12) as client:
        given = http_client.InferInput("image", images.shape, "UINT8")
        given.set_data_from_numpy(images)
        answers = [client.async_infer("rain", [given]) for _ in range(12)]
        ends = []
        for answer in answers:
            try:
                ends.append(answer.get_result().as_numpy("restored").shape)
            except InferenceServerException as error:
                assert "Exceeds maximum queue size" in str(error)
                ends.append(None)
    assert None in ends
    assert images.shape in ends
