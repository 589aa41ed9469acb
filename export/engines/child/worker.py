"""Script of the child process that runs TensorRT's builder.

It reads a job file and writes a result file. It is a process of its own because the parser ends the whole process on
some inputs, and because the libraries must be on the loader's path before a process starts. It runs as a script and
imports nothing of this package.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Tell = Callable[[list[Any]], None]
"""Function that takes an event of the builder."""

DOMAIN = "spair"
"""ONNX domain of the operators that have plugins; the worker imports nothing of the toolkit."""
PLUGIN_VERSION = "1"
"""Version of the plugins' creators."""


def build(job: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Build an engine.

    Args:
        job: module ("tensorrt_rtx" or "tensorrt"), graph (path), engine (path to write), library (path, or None to
            build from the function bodies), architectures (of a build ahead of time, or None), inputs (name -> least,
            usual and largest shape), outputs (names of tensors that become outputs too), tf32, level (of optimization,
            or None), memory (bytes that layers may use, or None), timing (path of the timing cache, or None),
            timing_part (free path beside it, for the time in which it is written, or None), bodies (whether the graph
            has the body of each operator).
        tell: called with each event of the builder, see `PhaseProgress`.

    Returns:
        layers ([name, type] of each layer of the parsed network), bodies ([name, type] of each layer without plugins,
        or None where that network was not parsed), notes (sentences) and version.

    Raises:
        BuildError: TensorRT refuses the graph, the library or the options.
    """
    trt = importlib.import_module(job["module"])
    log = _make_log(trt)
    builder = trt.Builder(log)
    graph = Path(job["graph"])
    content = graph.read_bytes()
    bodies: list[list[str]] | None = None
    notes: list[str] = []
    if not job["library"]:
        content = write_out_bodies(content)
    else:
        if job["bodies"]:
            bodies, notes = _parse_bodies(trt, builder, log, content, graph)
        load_library(builder.get_plugin_registry(), job["library"], log)
        content = _without_bodies(content)  # a plugin that is missing is an error then, and no dense engine
    network, parser = _parse(trt, builder, log, content, graph)
    mark_outputs(network, job["outputs"])
    config = _configure(trt, builder, network, job)
    monitor = _make_monitor(trt, tell)
    config.progress_monitor = monitor
    timing = TimingCache(config, job["timing"], job["timing_part"])
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(log.last())
    timing.keep()
    Path(job["engine"]).write_bytes(memoryview(plan))
    del parser  # it owns the weights that the network points to
    return {"layers": _list_layers(network), "bodies": bodies, "notes": notes, "version": trt.__version__}


def _parse_bodies(
    trt: Any, builder: Any, log: Any, content: bytes, graph: Path
) -> tuple[list[list[str]] | None, list[str]]:
    """List the layers that a graph has without plugins.

    They only serve a comparison, so a parser that cannot take them is a note and no error.
    """
    try:
        return _list_layers(_parse(trt, builder, log, write_out_bodies(content), graph)[0]), []
    except BuildError as error:
        return None, [f"the layers beside the plugins were not compared: without plugins the parser says {error}"]


def load_library(registry: Any, library: str, log: Any) -> None:
    """Register the plugins of a library.

    A registry takes the creators of a name once. Where they are there already, from a library that was registered
    before, it refuses the second one without a reason, so it is asked first. Its list is read, because a search for
    a name that is absent logs an error.

    Raises:
        BuildError: the library does not load, or other creators of the domain are registered.
    """
    own = [creator for creator in registry.all_creators if creator.plugin_namespace == DOMAIN]
    if own:
        others = sorted({creator.plugin_version for creator in own} - {PLUGIN_VERSION})
        if others:
            raise BuildError(f"plugins of version {others[0]} are registered already, expected {PLUGIN_VERSION}")
        return
    if registry.load_library(library) is None:
        raise BuildError(f"the plugin library does not load: {log.last()}")


def mark_outputs(network: Any, names: list[str]) -> None:
    """Make tensors outputs of the network as well.

    TensorRT fuses no layers over an output.

    Raises:
        BuildError: the parsed network has no such tensor.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    tensors = [layer.get_output(index) for layer in layers for index in range(layer.num_outputs)]
    found = {tensor.name: tensor for tensor in tensors}
    for name in names:
        if name not in found:
            raise BuildError(f"the parsed network has no tensor {name}, which was to be kept as an output")
        if not found[name].is_network_output:
            network.mark_output(found[name])


class TimingCache:
    """Timings of layers in a file.

    TensorRT takes its own decisions by timing, so a second build is faster with the file, and decides alike. Builders
    that run side by side add to the file one after the other, and none loses what another one found.
    """

    def __init__(self, config: Any, path: str | None, part: str | None) -> None:
        """Give a builder what the file has.

        A file of another TensorRT or GPU, or a damaged one, counts as empty.

        Args:
            config: the builder's configuration.
            path: the file, which need not exist; None keeps nothing.
            part: free path beside the file, for the time in which it is written.
        """
        self._config, self._path, self._part = config, path, part
        if path is None:
            return
        cache = config.create_timing_cache(_read(path))
        if cache is None or not config.set_timing_cache(cache, False):
            config.set_timing_cache(config.create_timing_cache(b""), False)

    def keep(self) -> None:
        """Add what the builder found to the file."""
        if self._path is None or self._part is None:
            return
        place = Path(self._path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = self._config.get_timing_cache()
            kept = self._config.create_timing_cache(_read(self._path))
            merged = kept if kept is not None and kept.combine(found, False) else found
            part = Path(self._part)
            part.write_bytes(memoryview(merged.serialize()))
            part.replace(place)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""


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


def _make_monitor(trt: Any, tell: Tell) -> Any:
    class Monitor(trt.IProgressMonitor):
        """Monitor that tells every event."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tell(["start", phase_name, parent_phase, num_steps])

        def step_complete(self, phase_name: str, step: int) -> bool:
            tell(["step", phase_name, step])
            return True

        def phase_finish(self, phase_name: str) -> None:
            tell(["finish", phase_name])

    return Monitor()


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
    if job["memory"] is not None:
        for pool in (trt.MemoryPoolType.WORKSPACE, trt.MemoryPoolType.TACTIC_DRAM):
            config.set_memory_pool_limit(pool, job["memory"])
    config.max_aux_streams = 0  # the plugins' many small launches gain nothing from them, and each needs memory
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that an engine can tell its layers
    profile = builder.create_optimization_profile()
    for name, shapes in job["inputs"].items():
        profile.set_shape(name, *(tuple(shape) for shape in shapes))
    if config.add_optimization_profile(profile) < 0:
        raise BuildError(f"the shapes {job['inputs']} do not fit the inputs")
    if job["architectures"]:
        config.num_compute_capabilities = len(job["architectures"])
        for index, architecture in enumerate(job["architectures"]):
            capability = getattr(trt.ComputeCapability, f"SM{architecture}", None)
            if capability is None:
                raise BuildError(f"{job['module']} {trt.__version__} builds no engines for sm_{architecture}")
            config.set_compute_capability(capability, index)
    return config


def _list_layers(network: Any) -> list[list[str]]:
    layers = (network.get_layer(index) for index in range(network.num_layers))
    return [[layer.name, str(layer.type).rpartition(".")[2]] for layer in layers]


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


def write_out_bodies(content: bytes) -> bytes:
    """Write each function body out in its node's place.

    The names inside become names of the node's own. Parsers before TensorRT 10.7 may wire the inside of a body wrongly.
    Later ones, and the one of TensorRT-RTX, give the DequantizeLinear of a body the same name wherever the body is
    used, and the network refuses the second layer of a name. The body cannot be changed to avoid this (tried with
    TensorRT-RTX 1.7.1). Cast and Mul in place of DequantizeLinear parse, but then the builder says that quantized
    constants may stand before a DQ or a plugin only. A body for each node is not possible, because the parser finds
    functions by the operator's name alone, which is the plugin's name too.

    Args:
        content: an ONNX file.
    """
    import onnx
    import onnx.inliner

    model = onnx.load_model_from_string(content)
    return bytes(onnx.inliner.inline_local_functions(model).SerializeToString())


def main() -> None:
    """Do the job of the first file; write the second.

    The third argument is the number of a pipe for the events of the builder. If nobody reads it any more, the process
    that waits for the engine is gone, and the build ends.
    """
    job, result, pipe = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with os.fdopen(pipe, "w", buffering=1) as stream:

        def tell(event: list[Any]) -> None:
            try:
                stream.write(json.dumps(event) + "\n")
            except BrokenPipeError:
                os._exit(1)

        try:
            answer = build(json.loads(job.read_text()), tell)
        except BuildError as error:
            answer = {"error": " ".join(str(error).split())}
        except Exception as error:  # a sentence for the user, whatever TensorRT's bindings raise
            answer = {"error": " ".join(f"{type(error).__name__}: {error}".split())}
    result.write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
