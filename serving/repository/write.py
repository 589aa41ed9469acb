"""Model repositories of bundles."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...export.engines.programs.commands import find_autoload
from ...runtime.bundle.reader import Bundle
from ...runtime.bundle.writer import Content
from ...runtime.clock import ReportProgress
from ...runtime.errors import UserError, quote
from ..contract import VERSION
from .configs import BATCHED_SUFFIX, STEPS, check_names, format_config, make_configs, parse_config
from .engines import ServedEngine, check_libraries, find_served_engine
from .folder import check_place, write_folder
from .readme import MODELS, PLUGINS, format_dockerfile, format_readme, make_command
from .settings import Settings

_STEP = Path(__file__).parent / "steps" / "model.py"


def write_repository(
    bundles: Mapping[str, Path],
    folder: Path,
    settings: Settings,
    *,
    force: bool = False,
    expect_digest: Collection[str] = (),
    progress: ReportProgress = lambda step: None,
) -> dict[str, Any]:
    """Write a model repository for Triton Inference Server.

    A failure leaves the place as it was.

    Args:
        bundles: bundles by the names that they are served under.
        folder: the folder to make.
        settings: how they are served. Engines bring their own size of batches, their own usual size, and a largest
            size.
        force: replace an older repository; files of others are never removed.
        expect_digest: digests of which each bundle must have one, see `Bundle.open`.
        progress: called before each step.

    Returns:
        "out"; "models", a list of "name", "platform" (or backend) and "files"; "triton", the container; "command",
        which starts Triton on the repository where it lies.

    Raises:
        UserError: see `check_place`, `check_names`, `make_served_graph`, `find_served_engine` and `write_folder`.
    """
    check_place(folder, force)
    check_names(list(bundles))
    opened = {name: Bundle.open(path, expect_digest=expect_digest) for name, path in bundles.items()}
    engines: dict[str, ServedEngine] = {}
    if settings.device == "tensorrt":
        engines = {name: find_served_engine(bundle, settings) for name, bundle in opened.items()}
        check_libraries(engines)
        settings = _follow(engines, settings)
    configs = make_configs({name: _keeps_clean(bundle) for name, bundle in opened.items()}, settings)
    files: dict[str, Content] = _write_configs(configs)
    for name, bundle in opened.items():
        progress(f"making {name}")
        inner = name + BATCHED_SUFFIX * settings.batches
        place = f"{MODELS}/{inner}/{VERSION}"
        if settings.device == "tensorrt":
            files[f"{place}/model.plan"] = engines[name].plan
        else:
            files[f"{place}/model.onnx"] = _make_graph(bundle, settings)
    library = _add_libraries(files, engines)
    sources = {name: bundle.path.name for name, bundle in opened.items()}
    files["README.md"] = format_readme(configs, sources, library, settings).encode()
    files["Dockerfile"] = format_dockerfile(settings).encode()
    facts = {"device": settings.device, "triton": settings.release.name, "bundles": sources}
    progress("writing")
    write_folder(folder, files, facts, force)
    return _report(folder, files, configs, library, settings)


def _follow(engines: Mapping[str, ServedEngine], settings: Settings) -> Settings:
    """Take sizes from engines.

    All models share one configuration, so the least batch and the least largest size count; the usual size must be the
    same.
    """
    sizes = {engine.usual for engine in engines.values()}
    if len(sizes) > 1:
        named = ", ".join(f"{name} {engine.usual[0]}x{engine.usual[1]}" for name, engine in engines.items())
        raise UserError(f"the engines are tuned for different sizes ({named}); write a repository for each")
    pixels = min(width * height for width, height in (engine.largest for engine in engines.values()))
    return replace(
        settings,
        batch=min(engine.batch for engine in engines.values()),
        usual=sizes.pop(),
        pixels=min(settings.pixels, pixels),
    )


def _write_configs(configs: Mapping[str, Any]) -> dict[str, Content]:
    """Write configurations and the code of steps."""
    files: dict[str, Content] = {}
    for name, config in configs.items():
        text = format_config(config)
        assert parse_config(text.decode()) == config
        files[f"{MODELS}/{name}/config.pbtxt"] = text
        if name in STEPS:
            files[f"{MODELS}/{name}/{VERSION}/model.py"] = _STEP
        elif config.platform == "ensemble":
            # Triton wants the folder of a version for each model, and copies keep no empty folders.
            files[f"{MODELS}/{name}/{VERSION}/README"] = b"An ensemble has no files; Triton wants this folder.\n"
    return files


def _keeps_clean(bundle: Bundle) -> bool:
    """Tell whether a network leaves clean pixels alone."""
    return bundle.manifest.kind == "spair" and bool(bundle.manifest.network.gate_output)


def _make_graph(bundle: Bundle, settings: Settings) -> bytes:
    from ...export.served.graph import make_served_graph

    return bytes(make_served_graph(bundle, settings.precision).SerializeToString())


def _add_libraries(files: dict[str, Content], engines: Mapping[str, ServedEngine]) -> str:
    """Add the plugin libraries of engines.

    Returns:
        Name of the plugin library; empty without engines.
    """
    for engine in engines.values():  # all have the same
        files[f"{PLUGINS}/{engine.library.name}"] = engine.library
        files[f"{PLUGINS}/{find_autoload(engine.library).name}"] = engine.autoload
        return engine.library.name
    return ""


def _report(
    folder: Path, files: Mapping[str, Content], configs: Mapping[str, Any], library: str, settings: Settings
) -> dict[str, Any]:
    models = [
        {
            "name": name,
            "platform": config.platform or config.backend,
            "files": [file for file in files if file.startswith(f"{MODELS}/{name}/")],
        }
        for name, config in configs.items()
    ]
    return {
        "out": str(folder),
        "models": models,
        "triton": settings.release.name,
        "command": quote(*make_command(folder.absolute(), library, settings)),
    }
