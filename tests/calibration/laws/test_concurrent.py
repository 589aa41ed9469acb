"""Calibrations beside other writers of the same bundle."""

from dataclasses import replace

import pytest

from spair.calibration import calibrate, calibrate_bundle
from spair.export.engines.collection import TargetFiles
from spair.export.engines.target import write_target
from spair.plugins.compiler.targets import find_target
from spair.runtime import Bundle

LIBRARY = "plugins/l4/libspair_plugins.so"


@pytest.fixture
def meanwhile(monkeypatch):
    """Make a call once, after the calibration has read the bundle."""

    def register(action):
        observe, waiting = calibrate.observe, [action]

        def interrupted(*given):
            if waiting:
                waiting.pop()()
            return observe(*given)

        monkeypatch.setattr(calibrate, "observe", interrupted)

    return register


def run(bundle, pairs, options):
    calibrate_bundle(bundle, pairs / "input", replace(options, quick=True), targets=pairs / "target")


def build(opened):
    write_target(opened, find_target("l4"), TargetFiles({LIBRARY: b"code"}, {"library": LIBRARY}))


def test_a_build_meanwhile_stays(bundle, pairs, options, meanwhile):
    meanwhile(lambda: build(Bundle.open(bundle)))
    run(bundle, pairs, options)
    after = Bundle.open(bundle)
    assert after.precisions == ("fp32", "int8") and list(after.manifest.targets) == ["l4"]
    assert after.file(LIBRARY).read_bytes() == b"code"


def test_a_build_that_began_before_a_calibration_keeps_it(bundle, pairs, options):
    opened = Bundle.open(bundle)
    run(bundle, pairs, options)
    build(opened)
    after = Bundle.open(bundle)
    assert after.precisions == ("fp32", "int8") and list(after.manifest.targets) == ["l4"]
    assert after.contents().keys() > {LIBRARY, *after.manifest.graphs["int8"].values()}


def test_a_calibration_to_another_precision_meanwhile_stays(bundle, pairs, options, meanwhile):
    meanwhile(lambda: run(bundle, pairs, replace(options, precision="fp16")))
    run(bundle, pairs, options)
    after = Bundle.open(bundle)
    assert after.precisions == ("fp32", "fp16", "int8")
    assert list(after.manifest.raw["calibration"]) == ["fp16", "int8"]
    for precision in after.precisions:
        assert all(after.graph(precision, part).is_file() for part in after.manifest.graphs["fp32"])
