"""Script of the child process that runs TensorRT's builder.

It reads a job file and writes a result file. It is a process of its own because the parser ends the whole process on
some inputs, and because the libraries must be on the loader's path before a process starts. It runs as a script and
imports nothing of this package.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

DOMAIN = "spair"
"""ONNX domain of the operators that have plugins; the worker imports nothing of the toolkit."""
BODIES_BEHIND_PLUGINS = (10, 7)
"""TensorRT version from which the parser prefers a plugin to a function body of the same name."""


def build(job: dict[str, Any]) -> dict[str, Any]:
    """Build an engine.

    Args:
        job: module ("tensorrt_rtx" or "tensorrt"), graph (path), engine (path to write), library (path, or None to
            build from the function bodies), architectures (of a build ahead of time, or None), inputs (name -> least,
            usual and largest shape), tf32, level (of optimization, or None), bodies (whether the graph parses without
            the library).

    Returns:
        layers ([name, type] of each layer of the parsed network), bodies ([name, type] of each layer without plugins,
        or None where that network was not parsed) and version.

    Raises:
        BuildError: TensorRT refuses the graph, the library or the options.
    """
    trt = importlib.import_module(job["module"])
    log = _make_log(trt)
    builder = trt.Builder(log)
    graph = Path(job["graph"])
    content = graph.read_bytes()
    bodies = None
    early = _version(trt) < BODIES_BEHIND_PLUGINS and not _is_rtx(job)
    plain = prepare_bodies(content, early) if job["bodies"] else content
    if not job["library"]:
        content = plain
    else:
        if job["bodies"]:
            bodies = _list_layers(_parse(trt, builder, log, plain, graph)[0])
        if builder.get_plugin_registry().load_library(job["library"]) is None:
            raise BuildError(f"the plugin library does not load: {log.last()}")
        content = _without_bodies(content)  # a plugin that is missing is an error then, and no dense engine
    network, parser = _parse(trt, builder, log, content, graph)
    config = _configure(trt, builder, network, job)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(log.last())
    Path(job["engine"]).write_bytes(memoryview(plan))
    del parser  # it owns the weights that the network points to
    return {"layers": _list_layers(network), "bodies": bodies, "version": trt.__version__}


class BuildError(Exception):
    """Refusal by TensorRT, in its own words."""


def _make_log(trt: Any) -> Any:
    class Log(trt.ILogger):
        """Log that keeps errors only.

        Other messages are about names and defaults."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)
                print(message, file=sys.stderr, flush=True)  # for the caller, should the process end

        def last(self) -> str:
            return self.errors[-1] if self.errors else "it does not say why"

    return Log()


def _parse(trt: Any, builder: Any, log: Any, content: bytes, path: Path) -> tuple[Any, Any]:
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # 11 has no other networks
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content, str(path)):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise BuildError(errors[0] if errors else log.last())
    return network, parser


def _configure(trt: Any, builder: Any, network: Any, job: dict[str, Any]) -> Any:
    config = builder.create_builder_config()
    if job["tf32"]:
        config.set_flag(trt.BuilderFlag.TF32)
    else:
        config.clear_flag(trt.BuilderFlag.TF32)
    if job["level"] is not None:
        config.builder_optimization_level = job["level"]
    profile = builder.create_optimization_profile()
    for name, shapes in job["inputs"].items():
        profile.set_shape(name, *(tuple(shape) for shape in shapes))
    if config.add_optimization_profile(profile) < 0:
        raise BuildError(f"the shapes {job['inputs']} do not fit the inputs")
    if job["architectures"]:
        config.num_compute_capabilities = len(job["architectures"])
        for index, architecture in enumerate(job["architectures"]):
            config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{architecture}"), index)
    return config


def _list_layers(network: Any) -> list[list[str]]:
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return [[layer.name, str(layer.type).rpartition(".")[2]] for layer in layers]


def _is_rtx(job: dict[str, Any]) -> bool:
    return bool(job["module"] == "tensorrt_rtx")  # numbered apart, its parser is a late one


def _version(trt: Any) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", trt.__version__)[:2])


def _without_bodies(content: bytes) -> bytes:
    import onnx

    model = onnx.load_model_from_string(content)
    remove_bodies(model)
    return bytes(model.SerializeToString())


def remove_bodies(model: Any) -> None:
    """Remove the bodies of our operators from a graph.

    Functions of other domains stay, since no plugin replaces them.
    """
    kept = [function for function in model.functions if function.domain != DOMAIN]
    del model.functions[:]
    model.functions.extend(kept)


def prepare_bodies(content: bytes, early: bool) -> bytes:
    """Return a graph that a parser without plugins can take.

    It is the given graph, unless the parser cannot take its function bodies. Then each body is written out in its
    node's place, under names of its own.

    Parsers before `BODIES_BEHIND_PLUGINS` may wire the inside of a body wrongly. Later parsers, and the one of
    TensorRT-RTX, give the layers of a body the same names wherever the body is used. They add a number to most names,
    but not to that of a DequantizeLinear, and the network refuses a second layer of one name. The body cannot be
    changed to avoid this (tried with TensorRT-RTX 1.7.1). Cast and Mul in place of DequantizeLinear parse, but then the
    builder says that quantized constants may stand before a DQ or a plugin only. A body for each node is not possible,
    because the parser finds functions by the operator's name alone, which is the plugin's name too.

    Args:
        content: an ONNX file with function bodies.
        early: whether the parser is older than `BODIES_BEHIND_PLUGINS`.
    """
    import onnx
    import onnx.inliner

    model = onnx.load_model_from_string(content)
    if not early and not _repeats_a_quantizer(model):
        return content
    return bytes(onnx.inliner.inline_local_functions(model).SerializeToString())


def _repeats_a_quantizer(model: Any) -> bool:
    uses = Counter(node.op_type for node in model.graph.node)
    quantizers = {"QuantizeLinear", "DequantizeLinear"}
    return any(
        uses[function.name] > 1 and quantizers & {node.op_type for node in function.node}
        for function in model.functions
    )


def main() -> None:
    """Do the job of the first file; write the second."""
    job, result = map(Path, sys.argv[1:3])
    try:
        answer = build(json.loads(job.read_text()))
    except (BuildError, ImportError, OSError) as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    result.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
