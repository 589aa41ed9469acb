"""Command lines for Polygraphy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...plugins.compiler.library.autoload import AUTOLOAD
from ...plugins.compiler.library.linking import LIBRARY
from ...runtime.bundle.engine_key import EngineKey
from ...runtime.errors import quote
from ..engines.options import EngineOptions
from ..engines.packages import NAMES, parse_version
from ..engines.programs.commands import list_polygraphy_options
from .thresholds import Thresholds

LAYER = 30
"""Least PSNR in dB of a tensor inside of the network. It is Polygraphy's own, and that of the coarsest engine which
`spair build` lets pass."""
PLUGINS = "$PLUGINS"
"""Words of `--plugins` in the shell: TensorRT's own library, then the one that registers the plugins."""
_FOLDER = (
    'import importlib.util as u; s = u.find_spec("{package}_libs"); '
    'print(s.submodule_search_locations[0] + "/" if s else "")'
)
"""Python statements that print the folder of TensorRT's libraries, or nothing where the system has them."""
_LINKS = """\
export POLYGRAPHY_USE_TENSORRT_RTX=1
# TensorRT-RTX's parser opens its libraries by names without version, which the Python package has not got
mkdir -p links && for LIBRARY in "$FOLDER"lib*.so.*; do N=${LIBRARY##*/}; ln -sf "$LIBRARY" links/${N%%.so.*}.so; done
export LD_LIBRARY_PATH="$PWD/links:${FOLDER:-/usr/lib}"
"""


@dataclass(frozen=True)
class EngineFacts:
    """Facts about one engine in the folder."""

    key: EngineKey
    thresholds: Thresholds

    @property
    def options(self) -> EngineOptions:
        """Options of the engine's build that Polygraphy takes too."""
        options = self.key.options
        usual, largest = tuple(options["usual"]), tuple(options["largest"])
        return EngineOptions(usual, largest, options["batch"], options["tf32"])

    @property
    def engine(self) -> str:
        """Path of the engine's file in the folder."""
        return f"engines/{self.key.target}/{self.key.precision}.engine"

    @property
    def library(self) -> str:
        """Path of the plugin library in the folder."""
        return f"plugins/{self.key.target}/{LIBRARY}"


def format_commands(engines: Sequence[EngineFacts]) -> str:
    """Write the command lines for the engines of one target.

    Args:
        engines: the engines, at least one.

    Returns:
        A text for a shell. Each command is one line, and starts in the folder.
    """
    key = engines[0].key
    where = quote(_FOLDER.format(package=key.builder))
    major = parse_version(key.version)[0]
    name = "libtensorrt_rtx.so.1" if key.builder == "tensorrt_rtx" else f"libnvinfer.so.{major}"
    head = (
        f"# Polygraphy on the engines of {key.target}: lines for bash, to be given in this folder one by one.\n"
        "# They need the packages polygraphy, onnx and onnxruntime; those with --trt also a GPU that the engines were\n"
        f"# built for and {NAMES[key.builder]} {key.version}; debug reduce also the package onnx_graphsurgeon.\n\n"
        "# Polygraphy opens plugins before TensorRT, so TensorRT's own library comes first. Where TensorRT is a\n"
        "# Python package, the library is in its folder, else the system finds it by its name.\n"
        f'FOLDER="$(python3 -c {where})"\n'
        f'PLUGINS="${{FOLDER}}{name} plugins/{key.target}/{AUTOLOAD}"\n'
    )
    links = _LINKS if key.builder == "tensorrt_rtx" else ""
    return head + links + "".join(map(_format_engine, engines))


def _format_engine(facts: EngineFacts) -> str:
    """Write the command lines for one engine."""
    precision = facts.key.precision
    psnr = f"--compare psnr --psnr-threshold {facts.thresholds}"
    build = quote(*list_polygraphy_options(facts.options, parse_version(facts.key.version)))
    loaded = f"--plugins {PLUGINS} --load-inputs inputs.json --load-outputs {precision}.onnxrt.json {psnr}"
    small = f"--plugins {PLUGINS} --load-inputs small.json --load-outputs {precision}.layers.json"
    reduce = (
        f"polygraphy debug reduce graphs/{precision}.layers.onnx -o {precision}.reduced.onnx --mode bisect "
        "--no-reduce-inputs --check polygraphy run polygraphy_debug.onnx"
    )
    lines = (
        (
            f"{precision}: ONNX Runtime on the CPU, from the graph with function bodies",
            f"polygraphy run graphs/{precision}.onnx --onnxrt --load-inputs inputs.json "
            f"--save-outputs {precision}.onnxrt.json",
        ),
        (
            f"{precision}: the engine against it",
            f"polygraphy run {facts.engine} --model-type engine --trt {loaded}",
        ),
        (
            f"{precision}: an engine that is built anew, from the graph without function bodies; where a plugin is "
            "missing, it stops",
            f"polygraphy run graphs/{precision}.plugins.onnx --trt {build} {loaded}",
        ),
        (f"{precision}: nodes of the graph", f"polygraphy inspect model graphs/{precision}.onnx --show layers"),
        (
            f"{precision}: layers of the engine",
            f"polygraphy inspect model {facts.engine} --model-type engine --plugins {PLUGINS} --show layers",
        ),
        (
            f"{precision}: where they differ, every tensor of ONNX Runtime for a small picture, then the first nodes "
            "that differ",
            f"polygraphy run graphs/{precision}.onnx --onnxrt --onnx-outputs mark all --load-inputs small.json "
            f"--save-outputs {precision}.layers.json",
        ),
        ("", f"{reduce} --trt {build} {small} --compare psnr --psnr-threshold {LAYER}"),
    )
    return "".join((f"\n# {comment}\n" if comment else "") + f"{line}\n" for comment, line in lines)
