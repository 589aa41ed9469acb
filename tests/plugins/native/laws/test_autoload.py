"""Programs that only open a library get the plugins from libspair_plugins_autoload.so."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from spair.export.engines.child.process import make_environment
from spair.export.engines.graph import prepare_engine_graph
from spair.export.operators.table import OPERATORS
from spair.plugins.compiler.build import build_plugins
from spair.plugins.compiler.targets import find_target
from tests.export.engines.test_builder import make_graph, rtx  # noqa: F401
from tests.plugins.compiler.library.test_linking import CROSS, few
from tests.plugins.native.fakes import FAKES, run_child

CREATORS = len(OPERATORS)
"""Number of creators: one for each operator."""
OPEN = """
import ctypes, json, sys
autoload, *tensorrts = sys.argv[1:]
opened = [ctypes.CDLL(path) for path in tensorrts]
ctypes.CDLL(autoload)
def read(function):
    function.restype = ctypes.c_char_p
    return function().decode()
print(json.dumps([[read(fake.fake_calls).splitlines(), fake.fake_creators()] for fake in opened]))
"""
"""Opens TensorRTs, then the library; prints what each registry was asked, and how many creators it has."""


@pytest.fixture
def folder(plugins, tmp_path) -> Path:
    """Both libraries, in a folder whose name has a space."""
    folder = tmp_path / "a bundle"
    folder.mkdir()
    for path in (plugins.path, plugins.autoload):
        shutil.copy(path, folder)
    return folder


@pytest.mark.parametrize("fake", FAKES, ids=lambda fake: fake.soname)
def test_it_asks_each_registry_to_load_the_library_beside_it(folder, tmp_path, fake):
    done = run_child(OPEN, folder / "libspair_plugins_autoload.so", fake.build(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [[[f"loadLibrary {folder}/libspair_plugins.so"], CREATORS]]


@pytest.mark.parametrize("mode", ["RTLD_LAZY", "RTLD_NOW", "RTLD_LAZY | os.RTLD_GLOBAL", "RTLD_NOW | os.RTLD_LOCAL"])
def test_every_way_of_opening_it_will_do(folder, tmp_path, mode):
    """As trtexec, DeepStream, Isaac ROS and Triton Inference Server open plugins."""
    script = OPEN.replace("ctypes.CDLL(autoload)", f"import os; ctypes.CDLL(autoload, mode=os.{mode})")
    done = run_child(script, folder / "libspair_plugins_autoload.so", FAKES[0].build(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0][1] == CREATORS


def test_every_tensorrt_of_the_process_gets_them(folder, tmp_path):
    paths = [fake.build(tmp_path) for fake in FAKES]
    done = run_child(OPEN, folder / "libspair_plugins_autoload.so", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert [creators for _, creators in json.loads(done.stdout)] == 3 * [CREATORS]


@pytest.mark.parametrize("fake", FAKES, ids=lambda fake: fake.soname)
def test_plugins_that_are_registered_are_not_loaded_again(folder, tmp_path, fake):
    """As when a program loads the library, and then opens this one."""
    (tmp_path / "again").mkdir()
    again = shutil.copy(folder / "libspair_plugins_autoload.so", tmp_path / "again" / "autoload.so")
    script = OPEN.replace("def read", f"ctypes.CDLL({str(again)!r})\ndef read")
    done = run_child(script, folder / "libspair_plugins_autoload.so", fake.build(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [[[f"loadLibrary {folder}/libspair_plugins.so"], CREATORS]]


def test_without_tensorrt_it_says_that_it_came_too_early(folder):
    done = run_child(OPEN, folder / "libspair_plugins_autoload.so")
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert done.stderr == (
        "spair: no TensorRT is in this process yet, so no plugins were registered; open TensorRT's library "
        "(libnvinfer.so or libtensorrt_rtx.so) before libspair_plugins_autoload.so\n"
    )


def test_without_the_library_beside_it_the_loaders_words_are_told(folder, tmp_path):
    (folder / "libspair_plugins.so").unlink()
    done = run_child(OPEN, folder / "libspair_plugins_autoload.so", FAKES[0].build(tmp_path))
    assert (done.returncode, json.loads(done.stdout)) == (0, [[[], 0]])
    assert done.stderr.startswith("spair: the plugin library does not open: ")
    assert done.stderr.endswith("/libspair_plugins.so: cannot open shared object file: No such file or directory\n")


STRANGER = """
struct Info { const char* kind; int major, minor; };
struct Creator {
    virtual int language() { return 0; }
    virtual Info info() { return {"PLUGIN CREATOR_V1", 1, 0}; }
};
extern "C" void* const* getCreators(int& count) {
    static Creator creator;
    static void* creators[] = {&creator};
    count = 1;
    return creators;
}
"""
"""Source of a plugin library of an older kind. The fake takes one library only, and so refuses ours after it."""

LOAD = """
registry = opened[0].getPluginRegistry
registry.restype = ctypes.c_void_p
table = ctypes.cast(registry(), ctypes.POINTER(ctypes.POINTER(ctypes.c_void_p)))[0]
load = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(table[6])
assert load(registry(), sys.argv.pop().encode())
ctypes.CDLL(autoload)
"""


def test_a_refusal_of_the_registry_is_told(folder, tmp_path):
    library = tmp_path / "libstranger.so"
    command = ["g++", "-x", "c++", "-shared", "-fPIC", "-", "-o", str(library)]
    subprocess.run(command, input=STRANGER.encode(), check=True)
    script = OPEN.replace("for path in tensorrts", "for path in tensorrts[:1]").replace("ctypes.CDLL(autoload)", LOAD)
    done = run_child(script, folder / "libspair_plugins_autoload.so", FAKES[1].build(tmp_path), library)
    assert done.returncode == 0, done.stderr
    words = f"spair: the registry of libnvinfer.so.11 refuses the plugin library {folder}/libspair_plugins.so\n"
    assert done.stderr == words


LOADER = """
#include <dlfcn.h>
#include <cstdio>
int main(int, char** arguments) {
    void* tensorrt = dlopen(arguments[1], RTLD_LAZY);
    if (tensorrt == nullptr || dlopen(arguments[2], RTLD_LAZY) == nullptr) { std::puts(dlerror()); return 1; }
    std::printf("%d creators\\n", reinterpret_cast<int (*)()>(dlsym(tensorrt, "fake_creators"))());
}
"""


@pytest.mark.sampled(2)
@pytest.mark.parametrize("fake", FAKES[:2], ids=lambda fake: fake.soname)
def test_on_the_processor_of_a_jetson_it_does_the_same(kernel_settings, tmp_path, fake):
    pytest.importorskip("triton", reason="Triton compiles the kernels")
    for tool in (CROSS, "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed; on Debian: apt-get install g++-aarch64-linux-gnu qemu-user")
    build = build_plugins(find_target("jetson-orin-jp6"), kernel_settings, variants=few)
    assert build.autoload is not None
    (tmp_path / "libspair_plugins.so").write_bytes(build.library)
    (tmp_path / "libspair_plugins_autoload.so").write_bytes(build.autoload)
    command = [CROSS, "-std=c++17", "-x", "c++", "-", "-o", str(tmp_path / "loader"), "-ldl"]
    subprocess.run(command, input=LOADER.encode(), check=True)
    files = [fake.build(tmp_path, CROSS), tmp_path / "libspair_plugins_autoload.so"]
    run = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", str(tmp_path / "loader"), *map(str, files)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{CREATORS} creators\n", "")


PARSE = """
import ctypes, json, pathlib, sys
graph, library, early = sys.argv[1:]
if early == "early":
    ctypes.CDLL(library)
import tensorrt_rtx as trt
log = trt.Logger(trt.Logger.INTERNAL_ERROR)
ctypes.CDLL(library)
names = [(creator.name, creator.plugin_namespace) for creator in trt.get_plugin_registry().all_creators]
builder = trt.Builder(log)
network = builder.create_network(0)
parser = trt.OnnxParser(network, log)
parsed = parser.parse(pathlib.Path(graph).read_bytes())
errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
types = [str(network.get_layer(index).type).rpartition(".")[2] for index in range(network.num_layers)]
print(json.dumps([[name for name, space in names if space == "spair"], parsed, errors, types.count("PLUGIN_V3")]))
"""
"""Opens a library as Polygraphy does; prints our creators in TensorRT-RTX's registry, and how a graph parses."""


def parse_with(library: Path, tmp_path: Path, order: str = "late") -> tuple[list, str]:
    graph = make_graph(tmp_path / "g.onnx")
    graph.write_bytes(prepare_engine_graph(graph, bodies=False))
    (tmp_path / "links").mkdir()
    environment = make_environment("tensorrt_rtx", tmp_path / "links")
    done = run_child(PARSE, graph, library, order, environment=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def test_tensorrt_rtx_parses_with_plugins_after_it_was_opened(rtx, folder, tmp_path):  # noqa: F811
    (creators, parsed, errors, layers), messages = parse_with(folder / "libspair_plugins_autoload.so", tmp_path)
    assert (len(creators), parsed, errors, layers) == (CREATORS, True, [], 4)
    assert "spair:" not in messages


def test_the_plugin_library_alone_registers_nothing_when_it_is_opened(rtx, folder, tmp_path):  # noqa: F811
    (creators, parsed, errors, _), _ = parse_with(folder / "libspair_plugins.so", tmp_path)
    assert (creators, parsed) == ([], False)
    assert any("Plugin not found" in error for error in errors)


def test_opened_before_tensorrt_rtx_it_registers_nothing_and_says_so(rtx, folder, tmp_path):  # noqa: F811
    (creators, parsed, _, _), messages = parse_with(folder / "libspair_plugins_autoload.so", tmp_path, "early")
    assert (creators, parsed) == ([], False)
    assert "spair: no TensorRT is in this process yet" in messages
