import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers import install
from benchmarks.peers.install import PACKAGES, PeerAbsentError, PeerPackage, cache_folder, find_package, load_package

MODULE = "spair_test_peer"


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """A pip that writes one module, or fails with the message in `.complaint`; `.calls` are its command lines."""

    class Pip:
        def __init__(self):
            self.complaint, self.source, self.calls = "", "value = 7", []

        def __call__(self, command, **options):
            self.calls.append(command)
            if not self.complaint:
                target = Path(command[command.index("--target") + 1])
                target.mkdir()
                (target / f"{MODULE}.py").write_text(self.source)
            return subprocess.CompletedProcess(command, bool(self.complaint), "", self.complaint)

    pip = Pip()
    package = PeerPackage("made-up", "1.2", MODULE, ("other==3.4",))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(install, "PACKAGES", (package,))
    monkeypatch.setattr(install.subprocess, "run", pip)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield pip
    sys.modules.pop(MODULE, None)


def test_a_package_is_installed_once_and_imported_from_its_folder(pip):
    module = load_package("made-up")
    assert module.value == 7
    assert Path(module.__file__).parent == cache_folder() / find_package("made-up").folder
    load_package("made-up")
    assert len(pip.calls) == 1
    assert {"made-up==1.2", "other==3.4", "--no-deps", ":all:"} <= set(pip.calls[0])


def test_a_failed_installation_is_absent_and_leaves_nothing(pip):
    pip.complaint = "looking\nERROR: No matching distribution found for made-up==1.2\nERROR: the last word\n"
    with pytest.raises(PeerAbsentError, match=r"pip cannot install made-up 1.2: ERROR: the last word$"):
        load_package("made-up")
    assert list(cache_folder().iterdir()) == []


def test_an_index_that_does_not_answer_is_absent(pip, monkeypatch):
    def hang(command, **options):
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(install.subprocess, "run", hang)
    with pytest.raises(PeerAbsentError, match="made-up cannot be installed: TimeoutExpired"):
        load_package("made-up")


def test_a_package_that_does_not_import_is_absent(pip):
    pip.source = "import no_such_module_at_all"
    with pytest.raises(PeerAbsentError, match="made-up 1.2 cannot be imported: ModuleNotFoundError"):
        load_package("made-up")


def test_other_pins_or_another_python_get_another_folder(monkeypatch):
    package = PeerPackage("a", "1", "a", ("b==2",))
    assert package.folder != PeerPackage("a", "1", "a", ("b==3",)).folder
    assert sys.implementation.cache_tag in package.folder


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_every_package_is_pinned(package):
    for pin in package.pins:
        assert re.fullmatch(r"[\w-]+==[\w.]+(; python_version (<|>=) \"3\.\d+\")?", pin), pin
