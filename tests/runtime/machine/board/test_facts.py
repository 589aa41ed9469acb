"""Facts of a board are read together."""

import pytest

from spair.runtime.machine.board.facts import describe_state, read_facts
from spair.runtime.machine.board.identity import find_jetson
from tests.runtime.machine.board.trees import ORIN_NANO, THOR, contain


def test_the_camera_daemon_is_seen_with_its_socket(board):
    root = board(ORIN_NANO)
    camera = read_facts(find_jetson(root), root).camera
    assert (camera.installed, camera.running, camera.socket, camera.devices) == (True, True, True, ("video0",))


def test_a_container_sees_no_daemon(board):
    root = board(contain(ORIN_NANO, "etc/nv_tegra_release"))
    camera = read_facts(find_jetson(root), root).camera
    assert (camera.installed, camera.running, camera.socket, camera.devices) == (False, False, False, ())


@pytest.mark.parametrize(
    ("target", "desktop"), [("graphical.target", True), ("multi-user.target", False), (None, None)]
)
def test_the_desktop_is_told_by_the_link_of_systemd(board, target, desktop):
    root = board(ORIN_NANO)
    (root / "lib/systemd/system").mkdir(parents=True)
    if target:
        (root / "lib/systemd/system/default.target").symlink_to(target)
    assert read_facts(find_jetson(root), root).desktop is desktop


def test_the_administrators_choice_of_target_wins(board):
    root = board(ORIN_NANO)
    for folder, target in (("lib", "graphical"), ("etc", "multi-user")):
        (root / folder / "systemd/system").mkdir(parents=True)
        (root / folder / "systemd/system/default.target").symlink_to(f"/lib/systemd/system/{target}.target")
    assert read_facts(find_jetson(root), root).desktop is False


def test_the_state_is_json(board):
    state = describe_state(board(THOR))
    assert state["power_mode"] == {"number": 1, "name": "120W"}
    assert state["clocks"]["gpu"] == {"mhz": 1575, "least_mhz": 315, "most_mhz": 1575}
    assert (state["temperatures"], state["throttled"], state["overcurrents"]) == ({"cpu": 53.7, "gpu": 55.0}, [], {})


def test_an_unknown_state_is_said_as_such(tmp_path):
    state = describe_state(tmp_path)
    assert state["power_mode"] == {"number": None, "name": None} and set(state["clocks"].values()) == {None}
