"""Configurations are messages of Triton, for every device, and say exactly the contract."""

import itertools

import pytest
from google.protobuf import text_format

from spair.runtime.errors import UserError
from spair.serving.contract import ENCODED, PIXELS
from spair.serving.repository.configs import (
    DECODE,
    ENCODE,
    ENCODE_ALL,
    check_names,
    format_config,
    make_configs,
    parse_config,
)
from spair.serving.repository.settings import DEVICES, Settings

TYPES = {"UINT8": 2, "FP32": 11, "BYTES": 13}
"""Numbers of the types in Triton's model_config.proto."""


def make(device: str = "cpu", *, keeps: bool = True, **changes: object) -> dict:
    return make_configs({"rain": keeps}, Settings(device, **changes))


def specs(tensors) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(one.name, one.data_type, tuple(one.dims)) for one in tensors]


@pytest.mark.parametrize(("device", "batch"), list(itertools.product(DEVICES, (1, 4))))
def test_every_configuration_reads_back_as_it_was(device, batch):
    for name, config in make(device, batch=batch).items():
        assert config.name == name
        assert parse_config(format_config(config).decode()) == config


@pytest.mark.parametrize(("device", "batch"), list(itertools.product(DEVICES, (1, 4))))
def test_clients_see_the_contract_on_every_device(device, batch):
    configs = make(device, batch=batch)
    for name, contract in (("rain", PIXELS), ("rain_bytes", ENCODED)):
        config = configs[name]
        assert config.max_batch_size == 0
        for tensors, expected in ((config.input, contract.inputs), (config.output, contract.outputs)):
            assert specs(tensors) == [(one.name, TYPES[one.datatype], one.shape) for one in expected]
        assert list(config.version_policy.specific.versions) == [1]


def test_members_of_ensembles_exist_and_tensors_between_them_are_made_before_they_are_read():
    for device, batch in itertools.product(DEVICES, (1, 4)):
        configs = make(device, batch=batch)
        for config in configs.values():
            made = {one.name for one in config.input}
            for step in config.ensemble_scheduling.step:
                member = configs[step.model_name]
                assert set(step.input_map) == {one.name for one in member.input}
                assert set(step.input_map.values()) <= made
                assert set(step.output_map) <= {one.name for one in member.output}
                made |= set(step.output_map.values())
            if config.platform == "ensemble":
                assert {one.name for one in config.output} <= made


def test_several_requests_are_computed_together_only_where_that_was_asked_for():
    batched = make("cuda", batch=4, delay=500)["rain_batched"]
    assert (batched.max_batch_size, batched.dynamic_batching.max_queue_delay_microseconds) == (4, 500)
    assert specs(batched.input) == [("image", 2, (3, -1, -1))]
    density = batched.output[2]
    assert tuple(density.dims) == (1,) and density.HasField("reshape") and not density.reshape.shape
    for configs in (make("cuda"), make("cpu", batch=4), make("tensorrt")):
        assert "rain_batched" not in configs
        assert configs["rain"].dynamic_batching.max_queue_delay_microseconds == 0


@pytest.mark.parametrize(("device", "platform", "kind"), [
    ("cpu", "onnxruntime_onnx", 2), ("cuda", "onnxruntime_onnx", 1), ("tensorrt", "tensorrt_plan", 1),
])  # fmt: skip
def test_the_platform_and_the_kind_of_instances_are_those_of_the_device(device, platform, kind):
    configs = make(device, instances=3)
    assert configs["rain"].platform == platform
    assert [(one.kind, one.count) for one in configs["rain"].instance_group] == [(kind, 3)]
    assert configs[DECODE].backend == configs[ENCODE].backend == "python"
    assert {one.kind for name in (DECODE, ENCODE) for one in configs[name].instance_group} == {2}


def test_queues_are_bounded_and_late_requests_are_refused():
    for name in ("rain", DECODE, ENCODE):
        policy = make(queue=7, seconds=0.25)[name].dynamic_batching.default_queue_policy
        assert policy.max_queue_size == 7
        assert policy.default_timeout_microseconds == 250_000
        assert policy.timeout_action == policy.REJECT
        assert policy.allow_timeout_override


@pytest.mark.parametrize(("batch", "dims"), [(1, [(1, 3, 64, 64), (1, 3, 5, 7)]), (4, [(3, 64, 64), (3, 5, 7)])])
def test_models_are_warmed_up_with_a_small_and_a_usual_picture(batch, dims):
    config = make("cuda", batch=batch, usual=(7, 5))["rain_batched" if batch > 1 else "rain"]
    assert [tuple(one.inputs["image"].dims) for one in config.model_warmup] == dims
    assert {one.batch_size for one in config.model_warmup} == {1}  # Triton leaves out samples of batch size 0


def test_cuda_graphs_are_recorded_for_the_usual_size_of_an_engine_only():
    single, several = make("tensorrt", usual=(7, 5)), make("tensorrt", batch=4, usual=(7, 5))
    graphs = single["rain"].optimization.cuda
    assert graphs.graphs
    assert [(one.batch_size, tuple(one.input["image"].dim)) for one in graphs.graph_spec] == [(0, (1, 3, 5, 7))]
    graphs = several["rain_batched"].optimization.cuda
    assert [(one.batch_size, tuple(one.input["image"].dim)) for one in graphs.graph_spec] == [
        (1, (3, 5, 7)),
        (4, (3, 5, 7)),
    ]
    assert not make("cuda")["rain"].HasField("optimization")


def test_threads_are_told_to_the_processor_only():
    assert make(threads=3)["rain"].parameters["intra_op_thread_count"].string_value == "3"
    assert "intra_op_thread_count" not in make()["rain"].parameters
    assert "intra_op_thread_count" not in make("cuda", threads=3)["rain"].parameters


def test_networks_that_change_every_pixel_get_another_writer_of_files():
    configs = make_configs({"rain": True, "other": False}, Settings())
    writers = {name: configs[f"{name}_bytes"].ensemble_scheduling.step[-1].model_name for name in ("rain", "other")}
    assert writers == {"rain": ENCODE, "other": ENCODE_ALL}
    keeps = {name: configs[name].parameters["keeps_clean"].string_value for name in writers.values()}
    assert keeps == {ENCODE: "1", ENCODE_ALL: "0"}
    assert ENCODE_ALL not in make()
    assert ENCODE not in make(keeps=False)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "..", "a\n"])
def test_names_that_are_no_folders_are_refused(name):
    with pytest.raises(UserError, match="a model cannot be called .*NAME=PATH"):
        check_names([name])


@pytest.mark.parametrize(
    "names", [["a", "a"], ["a", "a_bytes"], ["a_bytes", "a"], ["a_batched", "a"], [DECODE], [ENCODE], [ENCODE_ALL]]
)
def test_names_of_other_models_are_refused(names):
    with pytest.raises(UserError, match="two models would be called .*; give one another name: NAME=PATH"):
        check_names(names)


@pytest.mark.parametrize("text", ['nam: "x"', 'name: "x" max_batch_size: "y"', "instance_group { kind: KIND_TPU }"])
def test_the_parser_sees_typing_errors(text):
    with pytest.raises(text_format.ParseError):
        parse_config(text)
