"""Command lines that build engines on a target."""

from __future__ import annotations

import shlex
from pathlib import Path

from ...plugins.compiler.targets import Target
from .builder import EngineOptions


def make_trtexec_command(graph: Path, library: Path, engine: str, target: Target, options: EngineOptions) -> str:
    """Write the trtexec command that builds an engine.

    Only trtexec's option `--dynamicPlugins` registers what a library creates; `--staticPlugins` merely opens the file.

    Args:
        graph: the ONNX file, whose only input is `image`.
        library: the plugin library.
        engine: name of the file that trtexec writes into the current folder.
        target: machine that the command is for.
        options: how the engine is built.
    """
    least, usual, most = ("x".join(map(str, shape)) for shape in options.shapes())
    return (
        f"trtexec --onnx={_quote(graph)} "
        f"--dynamicPlugins={_quote(library)} "
        f"--minShapes=image:{least} --optShapes=image:{usual} --maxShapes=image:{most} "
        f"--saveEngine={engine}{'' if options.tf32 else ' --noTF32'}"
        f"{' --stronglyTyped' if target.tensorrt < (11, 0) else ''}"
    )


def _quote(path: Path) -> str:
    return shlex.quote(str(path))
