"""Each trap of a board is found, said in one sentence, and mended by a command."""

from dataclasses import replace
from pathlib import Path

import pytest

from spair.runtime.machine.board.facts import read_facts
from spair.runtime.machine.board.findings import RULES, list_findings
from spair.runtime.machine.board.identity import find_jetson
from spair.runtime.machine.board.software import Environment
from tests.runtime.machine.board.trees import AGX_ORIN, BOARDS, ORIN_NANO, ORIN_NX, RELEASE, THOR, contain, packages

PYTHONS = {"Orin Nano": (3, 10), "Orin NX": (3, 10), "AGX Orin": (3, 12), "Thor": (3, 12)}
GOOD = {"numpy": "1.26.4", "cuda-bindings": "12.9.2"}


@pytest.fixture
def judge(board):
    """Findings by name about a board's files and an environment."""

    def look(files, python=(3, 10), distributions=GOOD, **more):
        root = board(files)
        found = list_findings(
            read_facts(find_jetson(root), root, Environment(python, False, dict(distributions), **more))
        )
        assert [one.fault for one in found] == sorted((one.fault for one in found), reverse=True), "faults come first"
        assert all("\n" not in one.sentence and not one.sentence.endswith(".") for one in found)
        return {one.name: one for one in found}

    return look


# What each recorded board has


def test_an_orin_nano_of_8_gb_as_it_comes(judge):
    found = judge(ORIN_NANO)
    assert set(found) == {"tensorrt", "power mode", "clocks", "swap"} and not any(one.fault for one in found.values())
    assert found["power mode"].command == "sudo nvpmodel -m 2", "the fastest mode of this board"
    assert "25W (mode 1)" in found["power mode"].sentence and "MAXN_SUPER does not" in found["power mode"].sentence
    assert "varies from 306 to 1020 MHz" in found["clocks"].sentence and found["clocks"].command == "sudo jetson_clocks"
    assert "has 7.4 GiB of memory and no swap on a disk, only 3.7 GiB of zram" in found["swap"].sentence
    assert found["swap"].command.startswith("sudo systemctl disable nvzramconfig && sudo fallocate -l 16G /swap")
    assert "10.3 of JetPack 6 fails some INT8 builds that 10.7" in found["tensorrt"].sentence
    assert "TensorRT-10.7.0.23.l4t.aarch64" in found["tensorrt"].command


def test_an_orin_nx_of_the_release_that_fails_allocations(judge):
    found = judge(ORIN_NX)
    assert {name for name, one in found.items() if one.fault} == {"allocation"}
    assert "L4T 36.4.7 fails large allocations" in found["allocation"].sentence
    assert "upgrade to L4T 36.5" in found["allocation"].sentence
    assert found["allocation"].command.startswith("sudo sed -i s/r36.4/r36.5/ ")
    assert "swap" not in found and "power mode" not in found


def test_an_agx_orin_with_jetpack_72_needs_nothing(judge):
    assert judge(AGX_ORIN, (3, 12)) == {}, "TensorRT 10.16 wants no library of the accelerator"


def test_a_thor_of_jetpack_70(judge):
    assert set(judge(THOR, (3, 12))) == {"power mode", "clocks"}


@pytest.mark.parametrize("name", list(BOARDS))
def test_containers_are_told_what_to_hand_in(judge, name):
    found = judge(contain(BOARDS[name], "etc/nv_tegra_release"), PYTHONS[name])
    assert "nv_jetson_model" in found["model"].command
    assert found["camera"].command == "docker run -v /tmp/argus_socket:/tmp/argus_socket …"
    assert "power mode" not in found, "nothing tells it there, so nothing is said"


# What may be wrong with one


def without(files, *names):
    return {name: text for name, text in files.items() if not name.endswith(names)}


def test_an_unknown_release_is_said(judge):
    files = {**without(ORIN_NANO, "dpkg/status"), "etc/nv_tegra_release": "damaged"}
    found = judge(files)["release"]
    assert "nothing that depends on it was checked" in found.sentence and not found.fault


def test_a_release_without_plugins_is_named(judge):
    found = judge({**ORIN_NANO, "etc/nv_tegra_release": RELEASE.format(35, "4.1")})["release"]
    assert found.fault and "L4T 35.4.1 is none of the releases" in found.sentence and found.command is None


def test_another_python_than_jetpacks_is_named(judge):
    found = judge(ORIN_NANO, (3, 11))["environment"]
    assert found.fault and "for Python 3.10, this is 3.11" in found.sentence
    assert found.command == "/usr/bin/python3 -m venv --system-site-packages ~/spair"


def test_an_environment_that_hides_jetpack_is_named(board):
    root = board(ORIN_NANO)
    facts = read_facts(find_jetson(root), root, Environment((3, 10), True, GOOD))
    (found,) = [one for one in list_findings(facts) if one.name == "environment"]
    assert found.fault and found.command == "python3 -m venv --system-site-packages ~/spair"
    own = replace(facts, environment=Environment((3, 10), True, {**GOOD, "tensorrt": "10.3.0"}))
    assert "environment" not in {one.name for one in list_findings(own)}, "it has a TensorRT of its own"


def test_a_system_without_tensorrt_is_named(judge):
    found = judge(without(ORIN_NANO, "dist-packages/tensorrt/__init__.py"))["environment"]
    assert found.fault and found.command == "sudo apt-get install -y nvidia-jetpack"


def test_the_missing_library_of_the_accelerator_is_named(judge):
    found = judge(without(ORIN_NANO, "libnvdla_compiler.so"))["dla"]
    assert found.fault and found.command == "sudo apt-get install -y nvidia-l4t-dla-compiler"


def test_a_container_of_another_jetpack_misses_that_library(judge):
    inside = contain({**AGX_ORIN, **packages(libnvinfer10="10.11.0.33-1+cuda12.9")}, "etc/nv_tegra_release")
    found = judge(inside, (3, 12))["dla"]
    assert "TensorRT 10.11 does not load without it: take an image of the board's own JetPack" in found.sentence
    assert found.command.startswith("docker run --runtime nvidia ")


def test_two_tensorrts_are_noticed_unless_one_is_chosen(judge):
    found = judge(ORIN_NANO, distributions={**GOOD, "tensorrt": "10.7.0"})["tensorrt"]
    assert found.fault and "Python has TensorRT 10.7 and the system 10.3" in found.sentence
    own = judge(ORIN_NANO, distributions={**GOOD, "tensorrt": "10.7.0"}, own_tensorrt=True)
    assert "tensorrt" not in own or not own["tensorrt"].fault


@pytest.mark.parametrize(("version", "fault"), [("1.26.4", False), ("2.0.0", True), ("2.3.1", True)])
def test_numpy_2_does_not_go_with_jetpack_6(judge, version, fault):
    found = judge(ORIN_NANO, distributions={**GOOD, "numpy": version})
    assert ("numpy" in found) is fault
    assert not fault or found["numpy"].command == "pip install 'numpy<2'"
    assert "numpy" not in judge(AGX_ORIN, (3, 12), {**GOOD, "numpy": version})


def test_pycuda_gets_its_paths(judge):
    found = judge(ORIN_NANO, distributions={"numpy": "1.26.4"})["cuda"]
    assert found.fault and "'cuda-bindings==12.9.*'" in found.sentence
    assert found.command.startswith("PATH=/usr/local/cuda/bin:$PATH CPATH=/usr/local/cuda/include pip install 'pycuda")


def test_without_a_toolkit_the_wheel_is_the_way(judge):
    found = judge(without(AGX_ORIN, "cuda.h"), (3, 12), {"numpy": "2.2"})["cuda"]
    assert found.command == "pip install cuda-bindings"


def test_heat_is_said_while_it_slows_down(judge):
    found = judge({**ORIN_NANO, "sys/class/thermal/cooling_device0/cur_state": "1\n"})["heat"]
    assert "gpu-throttle-alert" in found.sentence and found.command is None


@pytest.mark.parametrize("missing", ["proc/812/comm", "tmp/argus_socket"])
def test_a_camera_daemon_that_does_not_run_is_restarted(judge, missing):
    assert judge(without(ORIN_NANO, missing))["camera"].command == "sudo systemctl restart nvargus-daemon"


def test_a_desktop_on_a_small_board_is_named(board):
    root = board(ORIN_NANO)
    facts = read_facts(find_jetson(root), root, Environment((3, 10), False, GOOD))
    names = {one.name: one for one in list_findings(replace(facts, desktop=True))}
    assert names["desktop"].command.startswith("sudo systemctl set-default multi-user.target")
    assert "desktop" not in {one.name for one in list_findings(facts)}


def test_every_rule_has_a_case_above():
    """Rules are named after what they find, and so are the cases."""
    source = Path(__file__).read_text(encoding="utf-8")
    names = {rule.__name__.removeprefix("_check_").replace("_", " ") for rule in RULES}
    assert {name for name in names if f'"{name}"' not in source} == set()
