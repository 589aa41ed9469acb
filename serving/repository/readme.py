"""Page and container of a repository."""

from __future__ import annotations

import importlib.metadata
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...export.engines.programs.commands import make_triton_option
from ...runtime.errors import quote
from .settings import Settings

MODELS, PLUGINS = "models", "plugins"
"""Folders of a repository. Triton takes every folder beside a model for a model, so the two are apart."""
_MOUNT = Path("/repository")
_DEFAULT_INPUT = 64 * 1024**2
"""Bytes of the largest HTTP request that Triton takes by default, from container 25.06 on."""
_IMAGE = "spair-triton"


def make_command(root: Path, library: str, settings: Settings) -> list[str]:
    """Write the command that starts Triton.

    Args:
        root: folder of the repository, as Triton sees it.
        library: name of the plugin library in `PLUGINS`; empty for none.
        settings: how models are served.

    Returns:
        Words of the command.
    """
    words = ["tritonserver", f"--model-repository={root / MODELS}", "--disable-auto-complete-config"]
    if library:
        words += shlex.split(make_triton_option(root / PLUGINS / library))
    if settings.release.limits_input:
        words.append(f"--http-max-input-size={max(_DEFAULT_INPUT, 3 * settings.batch * settings.pixels + 1024**2)}")
    return words


def format_dockerfile(settings: Settings) -> str:
    """Write the Dockerfile of an image with spair-rt."""
    version = importlib.metadata.version("spair-rt")
    return (
        f"FROM {settings.release.image}\n"
        "# The Python backend of some releases gives empty tensors with numpy 2.\n"
        f"RUN pip install --no-cache-dir 'spair-rt=={version}' 'numpy<2'\n"
    )


def format_readme(models: Mapping[str, Any], sources: Mapping[str, str], library: str, settings: Settings) -> str:
    """Write the page on a repository.

    Args:
        models: messages `ModelConfig` by the name of the model.
        sources: bundles by the names that they are served under.
        library: see `make_command`.
        settings: how models are served.
    """
    parts = [
        _describe(sources, settings),
        _list_models(models, settings),
        _tell_start(library, settings),
        _tell_plugins(settings) if library else "",
        _tell_limits(settings),
    ]
    return "\n".join(part for part in parts if part)


def _describe(sources: Mapping[str, str], settings: Settings) -> str:
    release, own = settings.release, importlib.metadata.version("spair-rt")
    named = "\n".join(f"- `{name}`: {bundle}" for name, bundle in sources.items())
    versions = f"Triton {release.triton}, ONNX Runtime {release.onnxruntime}"
    if settings.container_tensorrt:
        versions += f", TensorRT {settings.container_tensorrt}"
    return f"""# Model repository for Triton Inference Server

Written by `spair repository` {own} for the device `{settings.device}`, in {settings.precision},
and for the container `{release.image}` ({versions}).

{named}
"""


def _list_models(models: Mapping[str, Any], settings: Settings) -> str:
    rows = "\n".join(
        f"| `{name}` | {_summarize(config.input)} | {_summarize(config.output)} | {config.platform or config.backend} |"
        for name, config in models.items()
    )
    many = f", at most {settings.batch} at a time" if settings.batches or settings.device == "tensorrt" else ""
    return f"""## Models

| model | inputs | outputs | run by |
|---|---|---|---|
{rows}

`NAME` takes RGB pictures [N, 3, H, W]{many}. `NAME_bytes` takes one picture file and gives PNG files;
models whose names begin with `spair_` are steps of it. The mask of `NAME` has 1 where a pixel was distorted, that of
`NAME_bytes` has 255.
"""


def _summarize(tensors: Any) -> str:
    kinds = {entry.number: entry.name for entry in tensors[0].DESCRIPTOR.fields_by_name["data_type"].enum_type.values}
    return ", ".join(
        f"{one.name} {kinds[one.data_type].removeprefix('TYPE_').replace('STRING', 'BYTES')} {list(one.dims)}"
        for one in tensors
    )


def _tell_start(library: str, settings: Settings) -> str:
    gpus = "" if settings.device == "cpu" else " --gpus all"
    return f"""## Start

The file `Dockerfile` adds spair-rt to the container, which reads and writes the picture files of `NAME_bytes`:

```sh
docker build -t {_IMAGE} - < Dockerfile
docker run --rm --init --shm-size=1g{gpus} -p 127.0.0.1:8000:8000 -p 127.0.0.1:8001:8001 -p 127.0.0.1:8002:8002 \\
  -v "$PWD":{_MOUNT}:ro {_IMAGE} \\
  {quote(*make_command(_MOUNT, library, settings))}
curl --fail http://127.0.0.1:8000/v2/health/ready
```

Pixels go between Triton and the picture steps in shared memory; Docker's 64 MB are too little for large pictures,
hence `--shm-size`. The ports are those of HTTP, gRPC and metrics. Triton asks nobody who they are, so keep them on
this machine, or behind a proxy that does.
"""


def _tell_plugins(settings: Settings) -> str:
    return f"""## Plugins

The engines hold plugins of the folder `{PLUGINS}`. Triton opens the library that the option names, and that one
registers the plugins of `libspair_plugins.so` beside it; keep both together. They find the TensorRT that Triton has
loaded. Where it is not in a folder that the system searches, as it is in the container, add its folder to
`LD_LIBRARY_PATH`.

An engine runs only with the TensorRT that it was built with, {settings.container_tensorrt},
and on the GPU that it was built on. It takes pictures up to the width and height that `spair build --max-size` gave it.
"""


def _tell_limits(settings: Settings) -> str:
    lines = ["Each request is computed by itself."]
    if settings.batches:
        lines = [f"Requests of one size wait up to {settings.delay} µs for each other and are computed together."]
    lines += [
        f"A request is refused when {settings.queue} others wait for its model, or after {settings.seconds:g} seconds",
        "of waiting; clients may ask for less with the timeout of a request.",
        f"`NAME_bytes` refuses files of more than {settings.pixels} pixels. A picture is not cut into tiles, so memory",
        "grows with its size, and `NAME` has no such limit.",
    ]
    if settings.release.limits_input:
        lines.append("`--http-max-input-size` is the largest HTTP request in bytes; raise it for larger pictures.")
    return "\n".join(["## Limits", "", *lines]) + "\n"
