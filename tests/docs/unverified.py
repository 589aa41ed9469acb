"""Writer of the page on what was not verified: `python -m tests.docs.unverified`.

It reads the sources of the tests, and runs none of them.
"""

from __future__ import annotations

import ast
import os
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "unverified.md"
SKIPS = ("pytest.skip", "pytest.mark.skip", "pytest.mark.skipif", "pytest.importorskip")
ENGINES, PLUGINS, PROVIDER, JETSON, PROGRAMS, TRAINING, MACHINES, TRITON, PROCESSORS = (
    "Engines on a GPU",
    "Plugins on GPUs other than an H100",
    "ONNX Runtime's CUDA provider",
    "Jetson",
    "Programs whose sources were only read",
    "Training on a GPU",
    "Several machines",
    "Triton on a GPU",
    "Kernels for AVX-512 and VNNI",
)
"""Titles of the areas."""


@dataclass(frozen=True)
class Area:
    """Part of the project that needs a machine which was not at hand."""

    title: str
    unknown: str
    """Sentences on what is not known."""
    known: str
    """Sentences on what is checked in its place."""
    commands: tuple[str, ...]
    """Command lines that verify it, in a clone."""


_INTRODUCTION = (
    "No GPU with TensorRT and no Jetson was at hand while this was written. This page says what therefore ran nowhere, "
    "what stands in its place, and how to find out. Results from such machines are welcome."
)
_ORIGIN = (
    "The page is made from the tests that wait for such a machine, by `python -m tests.docs.unverified`. A test fails "
    "when it is out of date, or when a new skip is in none of its areas."
)
AREAS = (
    Area(
        ENGINES,
        "No engine has run on a real GPU, neither of TensorRT nor of TensorRT-RTX. So nobody has seen whether engines "
        "restore pictures as ONNX Runtime does, how fast they are, and how memory, streams and CUDA graphs behave. The "
        "command lines of `spair inspect --polygraphy` that run engines have not run either.",
        "Engines of TensorRT-RTX are built, and each node of the network is found in them. The code that runs engines "
        "runs on an emulated GPU, see tests/emulated. `spair build` compares each engine with ONNX Runtime before it "
        "stores it, on a machine that can run it.",
        (
            "spair export rain --out rain.spair",
            "spair build rain.spair --target local",
            "python -m pytest tests/gpu",
            "python -m benchmarks.gpu.latency",
        ),
    ),
    Area(
        PLUGINS,
        "The plugins ran on an H100, without TensorRT ([results](results/gpu.md)). They ran on no other GPU, and in no "
        "engine.",
        "The code for every architecture is compiled, and checked for spilled registers and known faults of the "
        "compiler.",
        ("python -m pytest tests/gpu/plugins", "python -m benchmarks.gpu.plugins"),
    ),
    Area(
        PROVIDER,
        "`--backend cuda` never ran. So nobody has seen whether ONNX Runtime's CUDA provider takes the graphs and "
        "restores the same pictures.",
        "The refusals are tested with a provider that gives a node back to the CPU.",
        (
            "pip uninstall -y onnxruntime && pip install --no-deps onnxruntime-gpu",
            "python -m pytest tests/runtime/laws/test_contract.py tests/runtime/backends",
        ),
    ),
    Area(
        JETSON,
        "Nothing ran on a Jetson: no installation, library, engine or time.",
        "The plugin libraries for Jetson are compiled and linked. On an emulated processor (QEMU) the wheel for ARM is "
        "installed and restores pictures, and the plugin library answers doubles of TensorRT's registry and logger. "
        "The pages follow NVIDIA's documentation and the reports of others.",
        ("spair doctor", "spair build rain.spair --target local --library FILE", "python -m pytest tests/gpu"),
    ),
    Area(
        PROGRAMS,
        "How these programs take the plugin library is known from their sources alone.",
        "The library that registers the plugins is opened as these programs open it, under TensorRT-RTX and beside "
        "doubles of TensorRT's registry.",
        (),
    ),
    Area(
        TRAINING,
        "Training ran on an H100 ([results](results/training.md)) before masks were chosen in the compiled graph. "
        "That, and training on several GPUs or machines, has not run.",
        "The same steps run on the CPU, and on two processes.",
        ("python -m pytest tests/gpu/test_training.py", "python -m benchmarks.gpu.training"),
    ),
    Area(
        TRITON,
        "No repository for ONNX Runtime's CUDA provider or for engines has served a request: Triton's own backends for "
        "them, batches and warm-ups on a GPU, and the container of a release never ran. Of most releases in the table "
        "the version of TensorRT is not proven.",
        "A real Triton, of the package nvidia-pytriton, answers on the CPU through a backend that runs the same graph "
        "in ONNX Runtime. It takes the configurations for a GPU up to the backend or the GPU that it lacks.",
        (
            "spair build rain.spair --target local --served",
            "spair repository rain.spair --out repository --device tensorrt",
            "docker build -t spair-triton repository",
        ),
    ),
    Area(
        MACHINES,
        "Neither `spair restore --ray` nor servers behind a load balancer ran on more than one machine, on shared "
        "folders of a network, or with a GPU for each actor. The manifests for Kubernetes and the dashboard were in no "
        "cluster and no Grafana, and the image was not built.",
        "`make ray` runs a cluster of two nodes on one machine and loses one of them. HAProxy runs before two real "
        "servers, one of which is killed and one restarted. The manifests fit the schemas of Kubernetes, systemd takes "
        "the unit, and the dashboard names only metrics that a server has.",
        (
            "make ray",
            "python -m pytest tests/serving/deploy",
            "podman build -f serving/deploy/Containerfile -t spair-serve:0.1.0 .",
            "kubectl apply -f serving/deploy/kubernetes.yaml",
        ),
    ),
    Area(
        PROCESSORS,
        "The kernels of `--backend cpu` for AVX-512, VNNI and AVX-512 BF16 run only where the processor has them, so a "
        "run of the tests on another processor says nothing of them. How fast those for NEON are is not known. No "
        "real ARM processor ran them. Matrix units (AMX) are not used.",
        "All tests of the kernels passed on a Xeon with AVX-512, VNNI and BF16. Those for NEON with and without dot "
        "products and BF16 run on an emulated processor (QEMU), where `make aarch64` also installs the wheel for ARM "
        "in a Debian and restores pictures. Opening a bundle compares every layer with ONNX Runtime, so that wrong "
        "kernels are not used.",
        ("spair doctor", "python -m pytest tests/plugins/cpu tests/runtime/cpu", "make aarch64"),
    ),
)
"""Areas in the order of the page."""

PLACES = {
    "tests/gpu/": ENGINES,
    "tests/gpu/plugins/": PLUGINS,
    "tests/gpu/test_plugins.py": PLUGINS,
    "tests/gpu/test_training.py": TRAINING,
}
"""Areas of the tests that need a GPU; the longest place that fits counts."""
REASONS = {
    r"the backend .* is not available": PROVIDER,
    r"PyTorch finds no CUDA GPU": TRAINING,
    r"this processor does not run": PROCESSORS,
    r"tests/gpu/.*: reason$": ENGINES,
}
"""Areas of skips elsewhere, by patterns of "file: reason"."""
HERE = (
    r"not installed",
    r"pip install ",
    r"is installed$",
    r"(Triton|scikit-image) (compiles|brings|has) ",
    r"written in Triton",
    r"there is a GPU here, so ",
    r"development images",
    r"Windows has no",
    r"Linux alone ",
    r"glibc",
    r"no real Triton",
    r"slow: make replicas",
    r"slow: make faults",
    r"slow: make aarch64",
    r"asked for with: make fuzz",
    r"this container may mount nothing",
    r"^tests/serving/clients/.*: (Triton has it|spair serve has no|Triton takes|this server has no|a negative size)",
    r"templates were made",
    r"TensorRT headers|headers of several TensorRTs",
    r"the placement|CPU's provider alone",
    r"TensorRT-RTX alone has it|engines of TensorRT-RTX do not say",
    r"(?i)bindings|on the double|in one of its own",
    r"^tests/(emulated|plugins|runtime/(cuda|engine|machine))/.*: (str\(error\)|reason|None)$",
)
"""Patterns of skips that say nothing about hardware: a tool or package can be installed, or another run has it."""


@dataclass(frozen=True)
class Skip:
    """Place where tests are skipped."""

    file: str
    reason: str
    """The reason, or the expression that makes it."""
    condition: str
    """Expression of a mark that skips where it is true, else empty."""

    @property
    def words(self) -> str:
        return f"{self.file}: {self.reason}"


def list_sources() -> Iterator[tuple[str, ast.Module]]:
    """Yield the name and the syntax tree of every file of tests."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def list_skips(file: str, tree: ast.AST) -> list[Skip]:
    """List where a file of tests, or a part of one, skips."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SKIPS:
            function = ast.unparse(node.func)
            given = [word.value for word in node.keywords if word.arg == "reason"]
            given += node.args[:1] if function in ("pytest.skip", "pytest.mark.skip") else []
            condition = ast.unparse(node.args[0]) if function.endswith("skipif") else ""
            found.append(Skip(file, _read_reason(given[0]) if given else "None", condition))
    return found


def _read_reason(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"  # type: ignore[attr-defined]
            for part in node.values
        )
    return ast.unparse(node)


def find_area(skip: Skip) -> str | None:
    """Return the title of a skip's area, or None where it needs no absent hardware.

    Raises:
        ValueError: no pattern fits the skip.
    """
    for pattern in HERE:
        if re.search(pattern, skip.words):
            return None
    for pattern, area in REASONS.items():
        if re.search(pattern, skip.words):
            return area
    raise ValueError(
        f"the skip {skip.words!r} is in no area; add a pattern to REASONS in tests/docs/unverified.py if it "
        "waits for a machine that was not at hand, else to HERE"
    )


def list_waiting(tree: ast.Module) -> list[str]:
    """List the tests of a file that need a GPU, as sentences."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    waiting = [node for node in functions if _is_marked(tree) or _needs_gpu(node)]
    return [node.name.removeprefix("test_").replace("_", " ") for node in waiting]


def _is_marked(tree: ast.Module) -> bool:
    """Whether a whole file needs a GPU."""
    assigned = (ast.unparse(node) for node in tree.body if isinstance(node, ast.Assign))
    return any(line.startswith("pytestmark") and "pytest.mark.gpu" in line for line in assigned)


def _needs_gpu(node: ast.FunctionDef) -> bool:
    marks = [ast.unparse(mark) for mark in node.decorator_list]
    return any(
        mark.startswith(("pytest.mark.gpu", "pytest.mark.skipif(not torch.cuda.is_available()")) for mark in marks
    )


def collect_tests() -> dict[str, dict[str, list[str]]]:
    """Collect what waits for each area: the tests' sentences by file; none for a file whose fixtures skip."""
    found: dict[str, dict[str, list[str]]] = {area.title: {} for area in AREAS}
    for file, tree in list_sources():
        waiting = list_waiting(tree)
        if _is_marked(tree) or waiting:
            place = max((place for place in PLACES if file.startswith(place)), key=len, default=None)
            if place is None:
                raise ValueError(f"{file} needs a GPU and is in no area; add it to PLACES")
            found[PLACES[place]][file] = waiting
            continue
        for skip in list_skips(file, tree):
            area = find_area(skip)
            if area is not None and Path(file).name != "conftest.py":
                found[area].setdefault(file, [])
    return found


def format_page() -> str:
    """Write the page."""
    tests = collect_tests()
    parts = [
        f"# What was not verified\n\n{_fill(_INTRODUCTION)}\n\n{_fill(_ORIGIN)}\n",
    ]
    for area in AREAS:
        parts.append(f"\n## {area.title}\n\n{_fill('**Not known.** ' + area.unknown)}\n")
        parts.append(f"\n{_fill('**Checked.** ' + area.known)}\n")
        if area.title == PROGRAMS:
            parts.append(_format_programs())
        if area.commands:
            parts.append("\n```sh\n" + "\n".join(area.commands) + "\n```\n")
        if tests[area.title]:
            parts.append("\nTests that wait:\n\n")
            parts += [_format_file(file, names) for file, names in sorted(tests[area.title].items())]
    return "".join(parts)


def _fill(text: str) -> str:
    return textwrap.fill(text, 140, break_long_words=False, break_on_hyphens=False)


def _format_file(file: str, names: list[str]) -> str:
    """Write the entry of a file: its link, what it is about, and its tests."""
    about = (ast.get_docstring(ast.parse((ROOT / file).read_text(encoding="utf-8"))) or "").split("\n")[0].rstrip(".")
    link = f"[{file}]({os.path.relpath(ROOT / file, PAGE.parent)})"
    return f"- {link}: {about}\n" + "".join(f"  - {name}\n" for name in names)


def _format_programs() -> str:
    """Write the programs that no test runs, from the table of the page on programs."""
    rows = ["\n| program | sources |\n|---|---|\n"]
    for line in (PAGE.parent / "tasks" / "hosts.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if cells[-1].startswith("its sources: "):
            rows.append(f"| {cells[0]} | {cells[-1].removeprefix('its sources: ')} |\n")
    return "".join(rows) + "\nTheir options are on the page [Load plugins in other programs](tasks/hosts.md).\n"


if __name__ == "__main__":
    PAGE.write_text(format_page(), encoding="utf-8")
