"""A Jetson is known by the release of its Linux."""

import pytest

from spair.runtime.machine import jetson
from spair.runtime.machine.jetson import Jetson, find_jetson

TEXT = (
    "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64, DATE: Thu Sep 18\n"
    "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"
)


def test_the_release_is_read(tmp_path, monkeypatch):
    (tmp_path / "release").write_text(TEXT)
    assert find_jetson(tmp_path / "release") == Jetson("36.4.7")
    monkeypatch.setattr(jetson, "RELEASE", tmp_path / "release")
    assert find_jetson() == Jetson("36.4.7")


@pytest.mark.parametrize("text", ["", "R36.4.7", "# R (release), REVISION: 4"])
def test_another_file_is_no_jetson(tmp_path, text):
    (tmp_path / "release").write_text(text)
    assert find_jetson(tmp_path / "release") is None


def test_a_machine_without_the_file_is_no_jetson(tmp_path):
    assert find_jetson(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("l4t", "words"),
    [("36.4.3", "L4T 36.4.3 of JetPack 6"), ("39.2.0", "L4T 39.2.0 of JetPack 7"), ("99.0", "L4T 99.0")],
)
def test_jetpack_is_named_where_it_is_known(l4t, words):
    assert str(Jetson(l4t)) == words
