"""The builder's script where a build of TensorRT-RTX does not reach: timings, registries, options.

The double of the package has the names and signatures of the Python bindings of TensorRT 10.3 and of TensorRT-RTX 1.7.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from spair.export.engines.child import worker
from spair.export.engines.child.worker import BuildError, TimingCache, load_library, mark_outputs, write_out_bodies


class Timings:
    """A timing cache: lines of one device, which a cache of another device does not take."""

    def __init__(self, content: bytes):
        self.device, _, lines = content.decode().partition(":")
        self.lines = set(lines.split()) if content else set()

    def serialize(self) -> bytes:
        return f"{self.device}:{' '.join(sorted(self.lines))}".encode()

    def combine(self, input_cache: Timings, ignore_mismatch: bool) -> bool:
        if not ignore_mismatch and self.device not in ("", input_cache.device):
            return False
        self.device, self.lines = input_cache.device, self.lines | input_cache.lines
        return True


class Config:
    """A builder's configuration on the GPU `device`."""

    def __init__(self, device: str = "L4"):
        self.device = device
        self.cache: Timings | None = None

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Timings | None:
        if serialized_timing_cache and b":" not in serialized_timing_cache:
            return None
        return Timings(serialized_timing_cache)

    def set_timing_cache(self, cache: Timings, ignore_mismatch: bool) -> bool:
        if not ignore_mismatch and cache.device not in ("", self.device):
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> Timings | None:
        return self.cache

    def build(self, *found: str) -> None:
        assert self.cache is not None
        self.cache.device = self.device
        self.cache.lines |= set(found)


def test_timings_of_one_build_are_there_for_the_next(tmp_path):
    path = str(tmp_path / "new" / "timing.cache")
    first = Config()
    timing = TimingCache(first, path, f"{path}.part")
    first.build("a", "b")
    timing.keep()
    second = Config()
    TimingCache(second, path, f"{path}.part")
    assert second.cache.lines == {"a", "b"}


def test_builds_side_by_side_lose_nothing(tmp_path):
    path = str(tmp_path / "timing.cache")
    configs = [Config(), Config()]
    timings = [TimingCache(config, path, f"{path}.{number}.part") for number, config in enumerate(configs)]
    for config, timing, found in zip(configs, timings, "ab", strict=True):
        config.build(found)
        timing.keep()
    assert Timings(Path(path).read_bytes()).lines == {"a", "b"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["timing.cache", "timing.lock"]


@pytest.mark.parametrize("content", [b"Orin:x y", b"damaged"], ids=["another GPU", "damaged"])
def test_timings_that_do_not_fit_count_as_none_and_are_replaced(tmp_path, content):
    (tmp_path / "timing.cache").write_bytes(content)
    config = Config()
    timing = TimingCache(config, str(tmp_path / "timing.cache"), str(tmp_path / "part"))
    assert config.cache.lines == set()
    config.build("a")
    timing.keep()
    assert (tmp_path / "timing.cache").read_bytes() == b"L4:a"


def test_without_a_file_nothing_is_kept(tmp_path):
    config = Config()
    TimingCache(config, None, None).keep()
    assert config.cache is None


class Registry:
    """A registry that takes the creators of a name once, as TensorRT's do."""

    def __init__(self, *creators: tuple[str, str], loads: bool = True):
        self.all_creators = [SimpleNamespace(plugin_namespace=name, plugin_version=v) for name, v in creators]
        self.loads = loads
        self.asked: list[str] = []

    def load_library(self, plugin_path: str) -> int | None:
        self.asked.append(plugin_path)
        return 1 if self.loads and not any(one.plugin_namespace == "spair" for one in self.all_creators) else None


LOG = SimpleNamespace(last=lambda: "undefined symbol")


def test_a_library_is_registered_once():
    for creators, asked in (([("", "1")], ["lib.so"]), ([("spair", "1"), ("spair", "1")], [])):
        registry = Registry(*creators)
        load_library(registry, "lib.so", LOG)
        assert registry.asked == asked


def test_a_library_that_does_not_load_or_of_another_version_is_refused():
    with pytest.raises(BuildError, match="the plugin library does not load: undefined symbol"):
        load_library(Registry(loads=False), "lib.so", LOG)
    with pytest.raises(BuildError, match="plugins of version 2 are registered already, expected 1"):
        load_library(Registry(("spair", "2")), "lib.so", LOG)


def test_outputs_are_marked_once():
    marked = []
    tensors = [SimpleNamespace(name=name, is_network_output=name == "out") for name in ("a", "b", "out")]
    layers = [
        SimpleNamespace(num_outputs=2, get_output=lambda index: tensors[index]),
        SimpleNamespace(num_outputs=1, get_output=lambda index: tensors[2]),
    ]
    network = SimpleNamespace(num_layers=2, get_layer=lambda index: layers[index], mark_output=marked.append)
    mark_outputs(network, ["b", "out"])
    assert marked == [tensors[1]]


class Enumeration:
    """Members that are their own names."""

    def __init__(self, *names: str):
        for name in names:
            setattr(self, name, name)


class Builder:
    """Double of TensorRT for `_configure`, which records the settings."""

    def __init__(self) -> None:
        self.flags: dict[str, bool] = {}
        self.limits: dict[str, int] = {}
        self.shapes: dict[str, tuple] = {}

    def create_builder_config(self) -> Builder:
        return self

    def create_optimization_profile(self) -> Builder:
        return self

    def set_flag(self, flag: str) -> None:
        self.flags[flag] = True

    def clear_flag(self, flag: str) -> None:
        self.flags[flag] = False

    def set_memory_pool_limit(self, pool: str, pool_size: int) -> None:
        self.limits[pool] = pool_size

    def set_shape(self, input: str, min: tuple, opt: tuple, max: tuple) -> None:
        self.shapes[input] = (min, opt, max)

    def add_optimization_profile(self, profile: Builder) -> int:
        return 0


TRT = SimpleNamespace(
    __version__="10.3.0",
    BuilderFlag=Enumeration("TF32"),
    MemoryPoolType=Enumeration("WORKSPACE", "TACTIC_DRAM"),
    ProfilingVerbosity=Enumeration("DETAILED", "LAYER_NAMES_ONLY"),
    ComputeCapability=Enumeration("SM89"),
)
JOB = {
    "module": "tensorrt",
    "tf32": False,
    "level": None,
    "memory": None,
    "inputs": {"image": [[1, 1, 1, 3], [1, 48, 64, 3], [1, 96, 80, 3]]},
    "architectures": None,
}


def test_the_builder_is_set_for_exact_products_one_stream_and_layers_that_tell():
    builder = Builder()
    worker._configure(TRT, builder, None, JOB)
    assert (builder.flags, builder.limits) == ({"TF32": False}, {})
    assert (builder.max_aux_streams, builder.profiling_verbosity) == (0, "DETAILED")
    assert builder.shapes == {"image": ((1, 1, 1, 3), (1, 48, 64, 3), (1, 96, 80, 3))}
    assert not hasattr(builder, "builder_optimization_level")


def test_level_memory_and_tf32_reach_the_builder():
    builder = Builder()
    worker._configure(TRT, builder, None, {**JOB, "level": 5, "memory": 1 << 30, "tf32": True})
    assert builder.builder_optimization_level == 5
    assert builder.limits == {"WORKSPACE": 1 << 30, "TACTIC_DRAM": 1 << 30}
    assert builder.flags == {"TF32": True}


def test_an_architecture_that_the_package_does_not_know_is_told():
    with pytest.raises(BuildError, match="tensorrt 10.3.0 builds no engines for sm_90"):
        worker._configure(TRT, Builder(), None, {**JOB, "architectures": [90]})


def test_bodies_are_written_out(tmp_path):
    import onnx

    from tests.export.engines.test_builder import make_graph

    content = make_graph(tmp_path / "g.onnx").read_bytes()
    assert onnx.load_model_from_string(content).functions
    plain = onnx.load_model_from_string(write_out_bodies(content))
    assert not plain.functions and not [node for node in plain.graph.node if node.domain]


def test_a_build_ends_when_nobody_waits_for_it_any_more(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import os, runpy, sys, time\n"
        f"script = {str(Path(worker.__file__))!r}\n"
        "reader, writer = os.pipe()\n"
        "os.close(reader)\n"
        "module = runpy.run_path(script)\n"
        "def build(job, tell):\n"
        "    for _ in range(100):\n"
        "        tell(['step', 'Build', 1])\n"
        "    return {}\n"
        "module['main'].__globals__['build'] = build\n"
        "sys.argv[1:] = [*sys.argv[1:], str(writer)]\n"
        "module['main']()\n"
    )
    (tmp_path / "job.json").write_text(json.dumps({}))
    command = [sys.executable, str(script), str(tmp_path / "job.json"), str(tmp_path / "result.json")]
    assert subprocess.run(command, check=False).returncode == 1
    assert not (tmp_path / "result.json").exists()
