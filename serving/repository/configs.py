"""Configurations of models for Triton.

They are made as messages of Triton's own definition, which `tritonclient` carries, and written as its text format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...runtime.errors import UserError
from ..contract import BYTES_SUFFIX, CONFIG_TYPES, ENCODED, FREE, PIXELS, VERSION, Contract, TensorSpec
from .settings import Settings

BATCHED_SUFFIX = "_batched"
"""End of the name of the model that computes several requests at a time."""
DECODE, ENCODE, ENCODE_ALL = "spair_decode", "spair_encode", "spair_encode_all"
"""Names of the models that read and write picture files; all bundles share them. The last one is for networks that
change every pixel, the one before it keeps pixels that the mask leaves out as they were in the file."""
PLATFORMS = {"cpu": "onnxruntime_onnx", "cuda": "onnxruntime_onnx", "tensorrt": "tensorrt_plan"}
"""Name of Triton's platform by device."""
SMALL = (64, 64)
"""Width and height of the smaller picture that models are warmed up with."""

_IMAGE, (_RESTORED, _MASK, _DENSITY) = PIXELS.inputs[0], PIXELS.outputs
_FILE = TensorSpec("file", "BYTES", ENCODED.inputs[0].shape)
_ONE_IMAGE = TensorSpec("image", "UINT8", (1, *_IMAGE.shape[1:]))

DECODING = Contract(inputs=(_FILE,), outputs=(_ONE_IMAGE,))
"""Model `spair_decode`: a picture file in; 8-bit RGB pixels [1, 3, H, W] out."""
STEPS = (DECODE, ENCODE, ENCODE_ALL)
ENCODING = Contract(
    inputs=(
        _FILE,
        TensorSpec("pixels", "UINT8", (1, *_RESTORED.shape[1:])),
        TensorSpec("marks", "UINT8", (1, *_MASK.shape[1:])),
        TensorSpec("share", "FP32", (1,)),
    ),
    outputs=ENCODED.outputs,
)
"""Model `spair_encode`: the file that came, and what model NAME gave for it, in; outputs of NAME_bytes out."""


def make_configs(names: Mapping[str, bool], settings: Settings) -> dict[str, Any]:
    """Make the configurations of all models of a repository.

    Args:
        names: names that bundles are served under, and whether the network keeps clean pixels as they are.
        settings: how they are served.

    Returns:
        Messages `ModelConfig` by the name of the model.

    Raises:
        UserError: see `check_names`.
    """
    check_names(list(names))
    configs = {}
    for name, keeps_clean in names.items():
        if settings.batches:
            configs[name + BATCHED_SUFFIX] = _make_network(name + BATCHED_SUFFIX, settings)
            configs[name] = _make_batching(name)
        else:
            configs[name] = _make_network(name, settings)
        configs[name + BYTES_SUFFIX] = _make_files(name, ENCODE if keeps_clean else ENCODE_ALL)
    configs[DECODE] = _make_step(DECODE, "decode", DECODING, settings)
    for name in sorted({ENCODE if keeps_clean else ENCODE_ALL for keeps_clean in names.values()}):
        configs[name] = _make_step(name, "encode", ENCODING, settings)
    return configs


def check_names(names: Sequence[str]) -> None:
    """Check the names that bundles are served under.

    Raises:
        UserError: a name is given twice, is empty, is another model's, or has characters other than letters, digits,
            "_", "-" and ".".
    """
    taken = set(STEPS)
    for name in names:
        if not name or name.startswith(".") or not all(sign.isalnum() or sign in "_-." for sign in name):
            raise UserError(f"a model cannot be called {name!r}; give a name of letters, digits, _, - and .: NAME=PATH")
        own = {name, name + BYTES_SUFFIX, name + BATCHED_SUFFIX}
        if own & taken:
            raise UserError(f"two models would be called {min(own & taken)}; give one another name: NAME=PATH")
        taken |= own


def format_config(config: Any) -> bytes:
    """Write a configuration as the text of config.pbtxt."""
    from google.protobuf import text_format

    return text_format.MessageToString(config).encode()


def parse_config(text: str) -> Any:
    """Read the text of a config.pbtxt.

    Raises:
        google.protobuf.text_format.ParseError: the text is no configuration of a model.
    """
    from google.protobuf import text_format

    return text_format.Parse(text, _message())


def _message() -> Any:
    from tritonclient.grpc import model_config_pb2

    return model_config_pb2.ModelConfig()


def _make_base(name: str, contract: Contract, strip: bool = False) -> Any:
    """Make a configuration with inputs and outputs.

    Args:
        name: name of the model.
        contract: inputs and outputs with all their sizes.
        strip: leave the first size to Triton, which counts pictures with it.
    """
    config = _message()
    config.name = name
    config.version_policy.specific.versions.append(int(VERSION))
    for group, specs in ((config.input, contract.inputs), (config.output, contract.outputs)):
        for spec in specs:
            entry = group.add(name=spec.name, data_type=_number_of(config, CONFIG_TYPES[spec.datatype]))
            entry.dims.extend(spec.shape[1:] if strip else spec.shape)
    return config


def _number_of(config: Any, name: str) -> int:
    """Look up the number of a type of values."""
    types = config.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_name
    return int(types[name].number)


def _make_network(name: str, settings: Settings) -> Any:
    """Make the configuration of a graph or engine."""
    config = _make_base(name, PIXELS, strip=settings.batches)
    config.platform = PLATFORMS[settings.device]
    if settings.batches:
        config.max_batch_size = settings.batch
        (density,) = (entry for entry in config.output if not entry.dims)
        density.dims.append(1)  # Triton wants a size here: clients see [N, 1], the network gives [N]
        density.reshape.SetInParent()
    _add_instances(config, settings, "KIND_CPU" if settings.device == "cpu" else "KIND_GPU")
    _add_queue(config, settings)
    for label, size in (("small", SMALL), ("usual", settings.usual)):
        _add_warmup(config, label, size, settings)
    if settings.device == "cpu" and settings.threads:
        config.parameters["intra_op_thread_count"].string_value = str(settings.threads)
    if settings.device == "tensorrt":
        _add_graphs(config, settings)
    return config


def _add_instances(config: Any, settings: Settings, kind: str) -> None:
    group = config.instance_group.add(count=settings.instances)
    group.kind = group.DESCRIPTOR.enum_types_by_name["Kind"].values_by_name[kind].number


def _add_queue(config: Any, settings: Settings) -> None:
    """Bound the queue.

    Triton has these bounds in the block on batching, which it also takes without batches.
    """
    policy = config.dynamic_batching.default_queue_policy
    policy.timeout_action = policy.REJECT
    policy.default_timeout_microseconds = int(1_000_000 * settings.seconds)
    policy.allow_timeout_override = True
    policy.max_queue_size = settings.queue
    if settings.batches:
        config.dynamic_batching.max_queue_delay_microseconds = settings.delay


def _add_warmup(config: Any, label: str, size: tuple[int, int], settings: Settings) -> None:
    """Let the model compute a picture before it is ready."""
    width, height = size
    # Triton leaves samples of batch size 0 out, also where the model has no batches.
    sample = config.model_warmup.add(name=label, batch_size=1, count=1)
    image = sample.inputs[_IMAGE.name]
    image.data_type = _number_of(config, CONFIG_TYPES[_IMAGE.datatype])
    image.dims.extend([3, height, width] if settings.batches else [1, 3, height, width])
    image.random_data = True


def _add_graphs(config: Any, settings: Settings) -> None:
    """Let TensorRT record CUDA graphs.

    They are for the usual size; other sizes run without one.
    """
    cuda = config.optimization.cuda
    cuda.graphs = True
    width, height = settings.usual
    for count in sorted({1, settings.batch}) if settings.batches else [0]:
        spec = cuda.graph_spec.add(batch_size=count)
        spec.input[_IMAGE.name].dim.extend([3, height, width] if settings.batches else [1, 3, height, width])


def _make_batching(name: str) -> Any:
    """Make the configuration of model NAME where another one batches.

    The batching model must give the density as [N, 1]. This one gives it as [N], as in all other repositories.
    """
    config = _make_base(name, PIXELS)
    config.platform = "ensemble"
    (density,) = (entry for entry in config.output if entry.name == _DENSITY.name)
    density.reshape.shape.extend([FREE, 1])
    names = [spec.name for spec in PIXELS.outputs]
    _add_step(config, name + BATCHED_SUFFIX, {_IMAGE.name: _IMAGE.name}, dict(zip(names, names, strict=True)))
    return config


def _make_files(name: str, encode: str) -> Any:
    """Make the configuration of model NAME_bytes."""
    config = _make_base(name + BYTES_SUFFIX, ENCODED)
    config.platform = "ensemble"
    file = ENCODED.inputs[0].name
    given = {"restored": "pixels", "mask": "marks", "density": "share"}
    _add_step(config, DECODE, {"file": file}, {"image": "decoded"})
    _add_step(config, name, {"image": "decoded"}, given)
    results = {spec.name: spec.name for spec in ENCODED.outputs}
    _add_step(config, encode, {"file": file, **{own: own for own in given.values()}}, results)
    return config


def _add_step(config: Any, model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    step = config.ensemble_scheduling.step.add(model_name=model, model_version=int(VERSION))
    step.input_map.update(inputs)
    step.output_map.update(outputs)


def _make_step(name: str, step: str, contract: Contract, settings: Settings) -> Any:
    """Make the configuration of a step on files."""
    config = _make_base(name, contract)
    config.backend = "python"
    _add_instances(config, settings, "KIND_CPU")
    _add_queue(config, settings)
    facts = {"step": step, "max_pixels": str(settings.pixels), "keeps_clean": str(int(name != ENCODE_ALL))}
    for key, value in facts.items():
        config.parameters[key].string_value = value
    return config
