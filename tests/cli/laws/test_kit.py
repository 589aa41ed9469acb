"""Kits for Jetson boards, through the verb."""

from __future__ import annotations

import dataclasses

import pytest

from spair.export.engines import packages
from spair.export.engines.kit import order
from spair.plugins.compiler import targets
from spair.runtime import Bundle
from tests.cli.test_build import host  # noqa: F401
from tests.plugins.conftest import HOST_TARGET, kernel_settings, plugins  # noqa: F401


@pytest.mark.parametrize("engines", [True, False])
def test_a_jetson_gets_a_kit(spair, bundle, plugins, monkeypatch, engines):  # noqa: F811
    """The library is the host's, under the name of a board; a board's own is for another processor."""
    board = dataclasses.replace(HOST_TARGET, name="jetson-thor", rtx=False)
    monkeypatch.setattr(targets, "TARGETS", (board,))
    monkeypatch.setattr(order, "CHIPS", {89: "tegra264"})
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    choice = [] if engines else ["--no-engines"]
    run = spair("build", bundle, "--target", board.name, "--library", plugins.path, "--batch", "2", *choice, "--json")
    assert run.code == 0, run.err
    opened = Bundle.open(bundle)
    assert run.json["install"] == str(bundle / "plugins/jetson-thor/install.sh")
    entry = opened.manifest.targets[board.name]
    assert {entry["install"], entry["page"]} <= set(opened.contents())
    script, page = ((bundle / entry[key]).read_text() for key in ("install", "page"))
    assert entry["install"] == "plugins/jetson-thor/install.sh" and "nvidia,tegra264" in script
    assert f"--precision fp32 --usual-size 1280x720 --max-size 1920x1080 --batch {2 if engines else 1}" in script
    assert (bundle / "engines/jetson-thor/fp32.onnx").is_file() is engines
    assert "sh plugins/jetson-thor/install.sh" in page
    given = {word for word in script.split() if word.startswith("--")} - {"--system-site-packages", "--"}
    assert given <= set(spair("build", "--help").out.replace("│", " ").split()), "options that the verb has"


def test_a_server_gets_no_kit(spair, bundle, host):  # noqa: F811
    run = spair("build", bundle, "--target", host, "--no-engines", "--json")
    assert run.code == 0 and run.json["install"] is None, run.err
    assert not {"install", "page"} & set(Bundle.open(bundle).manifest.targets[host])
