"""Modules of foreign networks.

A factory function builds the module, and the checkpoint must fit it exactly.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from ...network.checkpoint import load_strictly, read_state
from ...network.files.choosing import Choice
from ...runtime.errors import UserError


def load_foreign(factory: str, checkpoint: Path) -> nn.Module:
    """Build a network and load its checkpoint.

    Args:
        factory: see `build_network`.
        checkpoint: see `fill_network`.

    Returns:
        The module in float32 and in the mode of evaluation.

    Raises:
        UserError, CheckpointError: see the two functions.
    """
    module = build_network(factory)
    fill_network(module, checkpoint)
    return module


def fill_network(module: nn.Module, checkpoint: Path, *, key: str | None = None) -> Choice:
    """Load a checkpoint into a network, strictly.

    The network becomes float32, whatever the factory made, since graphs are, and is put into the mode of evaluation.

    Args:
        module: the network.
        checkpoint: a state dict in any form that `read_state` takes.
        key: dotted name of the dictionary that holds the weights; None to find them.

    Returns:
        The place in the file where the weights were found.

    Raises:
        CheckpointError: the checkpoint is unusable, or its keys and shapes differ (the first ones are named).
    """
    choice, _ = read_state(checkpoint, module.state_dict().keys(), key=key)
    load_strictly(module, choice.tensors, checkpoint)
    module.float().eval()
    return choice


def build_network(factory: str) -> nn.Module:
    """Call the function that builds a network.

    Args:
        factory: "package.module:function", importable from the current folder or the environment, or
            "path/to/file.py:function". The function takes no arguments and returns the nn.Module.

    Raises:
        UserError: the factory is ill-formed, does not import, fails, or returns no module or a scripted one.
    """
    name, separator, function = factory.rpartition(":")
    if not separator or not name or not function:
        raise UserError(f"--factory {factory!r} is not of the form package.module:function")
    package = _import(factory, name)
    if not hasattr(package, function):
        raise UserError(f"--factory {factory!r}: module {name} has no {function!r}; correct the name")
    try:
        module = getattr(package, function)()
    except (Exception, SystemExit) as error:  # a foreign constructor raises any type
        raise UserError(
            f"--factory {factory!r} failed: {type(error).__name__}: {error}; it is called without arguments"
        ) from error
    if not isinstance(module, nn.Module):
        raise UserError(f"--factory {factory!r} returned {type(module).__name__}, expected a torch.nn.Module")
    if isinstance(module, torch.jit.ScriptModule):
        raise UserError(
            f"--factory {factory!r} returned a scripted module, which cannot be exported; return the module that was "
            "scripted, without torch.jit"
        )
    return module


def _import(factory: str, name: str) -> ModuleType:
    """Import the module of a factory by name or file.

    Raises:
        UserError: it does not import.
    """
    here = str(Path.cwd())
    if here not in sys.path:  # a console script does not look in the current folder by itself
        sys.path.insert(0, here)
    try:
        return _import_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except (ImportError, FileNotFoundError) as error:
        remedy = "give a module's name, or its file with .py" if "/" in name else "run from its folder or install it"
        raise UserError(f"--factory {factory!r} does not import: {error}; {remedy}") from error
    except (Exception, SystemExit) as error:  # a foreign module raises any type
        raise UserError(
            f"--factory {factory!r} does not import: {type(error).__name__}: {error}; mend that module"
        ) from error


def _import_file(file: Path) -> ModuleType:
    folder = str(file.resolve().parent)
    if folder not in sys.path:  # for the modules beside it
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None  # the suffix is .py
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(file.stem, module)
    spec.loader.exec_module(module)
    return module
