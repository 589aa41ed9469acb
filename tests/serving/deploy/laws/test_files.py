"""The container and the systemd unit start the verb as it is, without rights that they do not need."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spair.serving.deploy import FOLDER
from spair.serving.server import MARGIN_SECONDS

ROOT = Path(__file__).resolve().parents[4]


def read_unit(text: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(text)
    return unit


UNIT = (FOLDER / "spair.service").read_text(encoding="utf-8")
IMAGE = (FOLDER / "Containerfile").read_text(encoding="utf-8")


def verify(folder: Path, text: str, name: str = "spair.service") -> str:
    """Return what systemd says about a unit, empty if nothing; its program is replaced by one that exists."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    file = folder / name
    file.write_text(text.replace("/opt/spair/bin/spair", sys.executable), encoding="utf-8")
    done = subprocess.run([program, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False)
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if name in line)


def test_systemd_finds_no_fault_in_the_unit(tmp_path):
    assert verify(tmp_path, UNIT) == ""


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [("KillMode=mixed", "KillMode=mixt", "kill mode .*mixt"), ("DynamicUser=", "DynamicUsr=", "Unknown key.*DynamicU")],
)
def test_systemd_finds_faults_in_a_damaged_unit(tmp_path, old, new, match):
    assert old in UNIT
    assert re.search(match, verify(tmp_path, UNIT.replace(old, new)))


def list_options() -> set[str]:
    run = "from spair.cli.main import main; main()"
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run([sys.executable, "-c", run, "serve", "--help"], text=True, capture_output=True, env=wide)
    return set(re.findall(r"--[a-z-]+", done.stdout))


def test_commands_have_options_that_the_verb_has():
    command = read_unit(UNIT)["Service"]["ExecStart"].split()
    assert command[1] == "serve"
    image = re.search(r"^CMD (.+)$", IMAGE, re.MULTILINE)
    assert image is not None
    given = {word for word in (*command, *re.findall(r'"([^"]+)"', image[1])) if word.startswith("--")}
    assert given <= list_options()


def test_the_unit_waits_longer_than_the_server_may_take():
    service = read_unit(UNIT)["Service"]
    words = service["ExecStart"].split()
    longest = sum(float(words[words.index(option) + 1]) for option in ("--grace", "--timeout"))
    assert float(service["TimeoutStopSec"]) > longest + 2 * MARGIN_SECONDS
    assert service["KillMode"] == "mixed", "the server ends its processes itself, after the answers"


def test_the_token_of_the_unit_is_a_credential():
    service = read_unit(UNIT)["Service"]
    name, _, _ = service["LoadCredential"].partition(":")
    assert f"--token-file %d/{name}" in service["ExecStart"]


def test_the_image_runs_as_a_user_without_rights():
    lines = IMAGE.splitlines()
    (user,) = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert user == "10001:10001" and "--uid 10001" in IMAGE
    assert lines.index("USER 10001:10001") < next(n for n, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    assert "STOPSIGNAL SIGTERM" in lines and 'ENTRYPOINT ["spair"]' in lines, "signals reach the server, not a shell"


def test_the_image_copies_what_make_wheel_builds():
    (sources,) = re.findall(r"^COPY (.+) /install/$", IMAGE, re.MULTILINE)
    wheel, constraints = sources.split()
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^DIST := {re.escape(str(Path(wheel).parent))}$", makefile, re.MULTILINE)
    assert (ROOT / constraints).is_file()
    name = configparser.ConfigParser()
    name.read(ROOT / "setup.cfg", encoding="utf-8")
    assert Path(wheel).name.startswith(name["metadata"]["name"].replace("-", "_"))


def test_the_folder_is_that_of_the_package():
    named = set(re.findall(r"[\w-]+(?:\.\w+)?", (FOLDER / "__init__.py").read_text().partition("the files: ")[2]))
    files = {path.name for path in FOLDER.iterdir() if path.suffix != ".py" and path.is_file()}
    assert files <= named
