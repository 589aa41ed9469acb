"""Installed Python packages, and their import in another process.

A package with broken libraries may end the process that imports it, or leave it in a state in which nothing else works.
So a probe never imports one in its own process.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import signal
import subprocess
from typing import Any, NamedTuple

from ..children import make_python_command

LIMIT = 300
"""Seconds that the import of a package may take; the first one after an installation reads gigabytes."""

_NAMES = re.compile(r"(onnxruntime|ort-nightly)(-(gpu|directml|openvino|rocm|migraphx|qnn|training|training-gpu))?")

_ASK = """
import importlib, json, os
package, question = sys.argv[1:]
results = os.dup(1)
os.dup2(2, 1)
try:
    module = importlib.import_module(package)
    answer = {"value": eval(question, {"module": module})}
except ModuleNotFoundError as error:
    answer = {"absent": error.name, "error": str(error)}
except Exception as error:
    answer = {"error": str(error) or type(error).__name__}
os.write(results, json.dumps(answer).encode())
os._exit(0)
"""


class Answer(NamedTuple):
    """Answer of a package that was imported."""

    value: Any
    """JSON value of the question; None where the import failed."""
    error: str | None = None
    """Words of the failure in one line; None where the import worked."""
    absent: bool = False
    """Whether the package is not installed at all, rather than broken."""


def ask_package(package: str, question: str = "str(module.__version__)") -> Answer:
    """Import a package in another process and ask it something.

    Args:
        package: name to import, with dots or without.
        question: Python expression over `module`, the imported module, with a JSON value; a text of the toolkit, never
            of a user.

    Returns:
        The answer, or the failure; a crash is a failure too.
    """
    command = make_python_command(_ASK, package, question)
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=LIMIT, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return Answer(None, f"its import did not end within {LIMIT} seconds")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return Answer(None, _describe_death(done.returncode, done.stderr))
    if "error" not in answer:
        return Answer(answer["value"])
    parents = [".".join(package.split(".")[:length]) for length in range(1, package.count(".") + 2)]
    return Answer(None, " ".join(answer["error"].split()), answer.get("absent") in parents)


def _describe_death(code: int, stderr: bytes) -> str:
    if code < 0:
        names = {one.value: one.name for one in signal.Signals}
        return f"its import crashed ({names.get(-code, f'signal {-code}')})"
    last = stderr.decode(errors="replace").strip().splitlines()[-1:]
    return f"its import ended the process with exit code {code}{''.join(f' ({line})' for line in last)}"


def list_onnxruntimes() -> dict[str, str]:
    """List the installed distributions that hold the package onnxruntime.

    Returns:
        Versions by name, sorted.
    """
    found = {}
    for one in importlib.metadata.distributions():
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"] or "").lower()
        if _NAMES.fullmatch(name):
            found[name] = one.version
    return dict(sorted(found.items()))
