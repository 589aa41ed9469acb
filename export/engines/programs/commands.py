"""Command lines for engines on a target.

Some build or time an engine, others hand the plugins to a program that loads one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ....plugins.compiler.library.autoload import AUTOLOAD
from ....plugins.compiler.targets import Target
from ....runtime.errors import quote
from ..options import EngineOptions


def make_build_command(
    bundle: Path,
    library: Path,
    target: Target,
    words: Sequence[str],
) -> str:
    """Write the command that builds engines into a bundle.

    It checks each engine and stores it with its key, which trtexec does not.

    Args:
        bundle: the bundle's folder.
        library: the plugin library.
        target: machine that the command is for.
        words: options of `list_build_words`.
    """
    return quote("spair", "build", bundle, "--target", target.name, "--library", library, *words)


def list_build_words(
    precisions: Sequence[str], options: EngineOptions, *, served: bool = False, tuned: bool = False
) -> list[str]:
    """List the options of `spair build` for its engines.

    Args:
        precisions: engines to build.
        options: how the engines are built.
        served: build the engine of the served contract too.
        tuned: time tilings there, and build with the fastest.
    """
    words = [word for precision in precisions for word in ("--precision", precision)]
    for name, (width, height) in (("--usual-size", options.usual), ("--max-size", options.largest)):
        words += [name, f"{width}x{height}"]
    words += ["--batch", str(options.batch)] + ["--served"] * served + ["--tune"] * tuned
    for name, number in (("--optimization-level", options.level), ("--workspace", options.workspace)):
        words += [] if number is None else [name, str(number)]
    return words + [word for pattern in options.keep_outputs for word in ("--keep-outputs", pattern)]


def make_trtexec_command(
    graph: Path, library: Path, engine: str, target: Target, options: EngineOptions, *, planes: bool = False
) -> str:
    """Write the trtexec command that builds an engine.

    Only trtexec's option `--dynamicPlugins` registers what a library creates; `--staticPlugins` merely opens the file.

    Args:
        graph: the ONNX file, whose only input is `image`.
        library: the plugin library.
        engine: name of the file that trtexec writes into the current folder.
        target: machine that the command is for.
        options: how the engine is built.
        planes: pictures are [N, 3, H, W] in place of [N, H, W, 3].
    """
    least, usual, most = (_shape(shape) for shape in options.shapes(planes=planes))
    return (
        f"trtexec --onnx={_quote(graph)} "
        f"--dynamicPlugins={_quote(library)} "
        f"--minShapes=image:{least} --optShapes=image:{usual} --maxShapes=image:{most} "
        f"--saveEngine={engine}{'' if options.tf32 else ' --noTF32'}"
        f"{' --stronglyTyped' if target.tensorrt < (11, 0) else ''}"
    )


def make_trtexec_load_command(engine: str, library: Path, options: EngineOptions, *, planes: bool = False) -> str:
    """Write the trtexec command that times an engine.

    Pictures are of the usual size.

    Args:
        engine: file of the engine.
        library: the plugin library.
        options: how the engine was built.
        planes: pictures are [N, 3, H, W] in place of [N, H, W, 3].
    """
    return (
        f"trtexec --loadEngine={quote(engine)} --dynamicPlugins={_quote(library)} "
        f"--shapes=image:{_shape(options.shapes(planes=planes)[1])}"
    )


def make_polygraphy_command(graph: Path, library: Path, tensorrt: Path, target: Target, options: EngineOptions) -> str:
    """Write the Polygraphy command that builds and runs an engine.

    Polygraphy opens plugins before TensorRT, so TensorRT's own library comes first.

    Args:
        graph: the ONNX file, whose only input is `image`.
        library: the plugin library, beside which the one that registers it lies.
        tensorrt: TensorRT's own library, libnvinfer.so.10 or .11, or libtensorrt_rtx.so.1.
        target: machine that the command is for.
        options: how the engine is built.
    """
    words = ["polygraphy", "run", str(graph), "--trt", *list_polygraphy_options(options, target.tensorrt)]
    return quote(*words, "--plugins", str(tensorrt), str(find_autoload(library)))


def list_polygraphy_options(options: EngineOptions, tensorrt: tuple[int, int]) -> list[str]:
    """List Polygraphy's options for the build of an engine.

    Args:
        options: how the engine is built.
        tensorrt: version of TensorRT or TensorRT-RTX.
    """
    words = ["--tf32"] * options.tf32 + ["--strongly-typed"] * (tensorrt < (11, 0))
    for name, shape in zip(("min", "opt", "max"), options.shapes(), strict=True):
        words += [f"--trt-{name}-shapes", f"image:[{','.join(map(str, shape))}]"]
    return words


def make_triton_option(library: Path) -> str:
    """Write the option that hands plugins to tritonserver."""
    return f"--backend-config=tensorrt,plugins={_quote(find_autoload(library))}"


def make_deepstream_line(library: Path) -> str:
    """Write the line that hands plugins to DeepStream's nvinfer."""
    return f"custom-lib-path={find_autoload(library)}"


def make_isaac_argument(library: Path) -> str:
    """Write the argument that hands plugins to Isaac ROS."""
    return f"-p custom_plugin_lib:={_quote(find_autoload(library))}"


def find_autoload(library: Path) -> Path:
    """Name the registering library beside a plugin library."""
    return library.with_name(AUTOLOAD)


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _quote(path: Path) -> str:
    return quote(str(path))
