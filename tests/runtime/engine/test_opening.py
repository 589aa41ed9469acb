"""The engine that fits is found, others say why they do not, and nothing is left behind."""

import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.bundle.reader import Bundle
from spair.runtime.engine import opening
from spair.runtime.engine.errors import EngineError
from tests.runtime.engine.pictures import draw


def test_the_engine_that_fits_is_chosen(engine_bundle):
    choice = opening.choose_engine(engine_bundle, "fp32")
    assert (choice.target, choice.precision) == ("local", "fp32")
    assert choice.whole.plan.name == "model.engine" and choice.whole.key.part == "model"


def test_auto_takes_a_precision_that_has_an_engine(engine_bundle):
    assert opening.choose_engine(engine_bundle, "auto").precision == "fp32"
    with pytest.raises(UserError, match=r"has no fp16 engine; build it: spair build .* --target local"):
        opening.choose_engine(engine_bundle, "fp16")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "10.9.0"}, "version is 10.9.0, expected "),
        ({"machine": "aarch64"}, "machine is aarch64"),
        ({"architectures": (90,)}, "architectures is"),
        ({"graph": "0" * 64}, "graph is 000000000000"),
        ({"library": "0" * 64}, "library is 000000000000"),
        ({"builder": "trt"}, "builder is trt"),
    ],
)
def test_an_engine_that_does_not_fit_says_why(engine_bundles, change, reason):
    with pytest.raises(UserError, match=rf"does not fit here: .*{reason}.*build it again: spair build"):
        opening.choose_engine(engine_bundles.make(key=change), "fp32")


def test_what_was_built_here_comes_before_other_targets(engine_bundles):
    bundle = engine_bundles.make(target="jetson-orin-jp6")
    assert opening.choose_engine(bundle, "fp32").target == "jetson-orin-jp6"
    targets = bundle.manifest.targets
    assert sorted([*targets, "local", "a40"], key=lambda name: name != "local")[0] == "local"


def test_without_tensorrt_the_extra_is_named(monkeypatch, shipped):
    monkeypatch.setattr(opening, "find_packages", lambda: ())
    assert "pip install 'spair-rt[tensorrt]'" in opening.unavailable()
    with pytest.raises(UserError, match=r"the backend tensorrt is not available: TensorRT's Python package is not"):
        Restorer.open(shipped, backend="tensorrt")


def test_without_a_gpu_the_driver_is_named(gpu, trt, shipped):
    gpu.set(devices=0)
    with pytest.raises(UserError, match=r"the backend tensorrt is not available: .*driver"):
        Restorer.open(shipped, backend="tensorrt")


def test_a_bundle_without_engines_says_how_to_build_them(gpu, trt, shipped):
    assert not opening.has_engines(Bundle.open(shipped))
    with pytest.raises(UserError, match=r"has no fp32 engine; build it: spair build .* --target local"):
        Restorer.open(shipped, backend="tensorrt")


def test_a_damaged_engine_is_refused_before_it_is_loaded(engine_bundle):
    file = engine_bundle.path / "engines" / "local" / "model.engine"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=r"model\.engine"):
        Restorer.open(engine_bundle.path, backend="tensorrt")


def test_code_that_nobody_trusts_is_named_and_not_loaded(engine_bundles, trt, monkeypatch):
    path, loaded = engine_bundles.make(trusted=False).path, []
    monkeypatch.setattr(trt, "Runtime", lambda log: loaded.append(log))
    words = (
        r"plugins/local/lib\.so .*model\.engine .*net_l\.engine .*net_r\.engine .*nothing of it was loaded.*spair trust"
    )
    with pytest.raises(UserError, match=words):
        Restorer.open(path, backend="tensorrt")
    assert loaded == []


def test_the_user_may_say_so_for_once(engine_bundles):
    path = engine_bundles.make(trusted=False).path
    with Restorer.open(path, backend="tensorrt", trust_code=True) as restorer:
        restorer(draw(24, 32))
        restorer(draw(24, 32), mask=draw(24, 32)[..., 0] > 128)
    with pytest.raises(UserError, match="spair trust"):
        Restorer.open(path, backend="tensorrt")


def test_the_runtime_is_let_go_when_the_whole_engine_does_not_load(engine_bundle, monkeypatch):
    made, released = opening.open_engines(engine_bundle, "fp32"), []
    monkeypatch.setattr(made, "release", lambda: released.append(True))
    (engine_bundle.path / "engines/local/model.engine").write_bytes(b"changed")
    with pytest.raises(UserError, match=r"model\.engine"):
        made.open_network()
    assert released == [True]


def test_a_part_that_was_replaced_after_the_check_is_not_loaded(engine_bundle):
    with Restorer.open(engine_bundle.path, backend="tensorrt") as restorer:
        file = engine_bundle.path / "engines" / "local" / "net_l.engine"
        file.write_bytes(file.read_bytes()[:-1] + b"x")
        with pytest.raises(UserError, match=r"net_l\.engine"):
            restorer(draw(24, 32), mask=draw(24, 32)[..., 0] > 128)


def test_a_library_that_does_not_load_is_refused(engine_bundle, world, monkeypatch):
    monkeypatch.setattr(world, "libraries", None)
    with pytest.raises(EngineError, match="does not load the plugin library"):
        Restorer.open(engine_bundle.path, backend="tensorrt")


def test_two_restorers_live_side_by_side(engine_bundle):
    with Restorer.open(engine_bundle.path, backend="tensorrt") as first:
        with Restorer.open(engine_bundle.path, backend="tensorrt") as second:
            assert (first(draw(24, 32)).image == second(draw(24, 32)).image).all()
        first(draw(24, 32))


@pytest.mark.parametrize("threads", [0, -1])
def test_no_pictures_at_a_time_are_refused(engine_bundle, threads):
    """A pool without slots would wait forever for one."""
    with pytest.raises(UserError, match=f"the number of threads is {threads}, expected 1 or more"):
        Restorer.open(engine_bundle.path, backend="tensorrt", threads=threads)
