"""An engine is served only where it fits the bundle and the TensorRT of the container."""

import re

import pytest

from spair.runtime.bundle.reader import Bundle
from spair.runtime.errors import UserError
from spair.serving.repository.engines import are_same, check_libraries, find_served_engine
from spair.serving.repository.releases import find_release
from spair.serving.repository.settings import Settings
from tests.serving.repository.engines import LIBRARY, PLAN, add_engine

SETTINGS = Settings("tensorrt", find_release("24.10"))


@pytest.fixture
def find(tiny_bundle, tmp_path):
    """Find the engine of a bundle that was built with changes of its key."""

    def make(settings: Settings = SETTINGS, **changes: object):
        return find_served_engine(Bundle.open(add_engine(tiny_bundle, tmp_path / "rain.spair", **changes)), settings)

    return make


def test_an_engine_comes_with_both_libraries_and_its_sizes(find):
    found = find()
    assert (found.plan.read_bytes(), found.library.read_bytes()) == (PLAN, LIBRARY)
    assert found.autoload.parent == found.library.parent
    assert (found.batch, found.usual, found.largest) == (1, (96, 64), (192, 128))


def test_an_engine_of_another_tensorrt_is_refused_with_both_versions_and_the_command(find, tmp_path):
    command = f"spair build {tmp_path / 'rain.spair'} --target local --precision fp32 --served"
    words = "was built by TensorRT 10.3.0, and the container 24.10 has TensorRT 10.5.0.18, which does not load it"
    with pytest.raises(UserError, match=f"{re.escape(words)}; build it with that version: {re.escape(command)}$"):
        find(version="10.3.0")


def test_a_container_whose_tensorrt_is_not_known_needs_the_version(find):
    settings = Settings("tensorrt", find_release("26.01"))
    words = (
        "TensorRT of the container 26.01 is not in the table; give it with --tensorrt, as this says: docker run --rm "
    )
    with pytest.raises(UserError, match=re.escape(words) + "nvcr.io/nvidia/tritonserver:26.01-py3 dpkg-query -W"):
        find(settings)


def test_a_given_version_counts(find):
    assert find(Settings("tensorrt", find_release("26.01"), tensorrt="10.14.1"), version="10.14.1.48").batch == 1


def test_engines_of_tensorrt_rtx_are_refused(find):
    with pytest.raises(UserError, match="was built by tensorrt_rtx, and Triton loads engines of tensorrt alone"):
        find(builder="tensorrt_rtx", version="1.7.1")


def test_a_bundle_without_an_engine_is_refused_with_the_command(tiny_bundle):
    words = (
        r"has no fp16 engine for serving of the target l4 \(targets: none\); .*--target l4 --precision fp16 --served"
    )
    with pytest.raises(UserError, match=words):
        find_served_engine(Bundle.open(tiny_bundle), Settings("tensorrt", precision="fp16", target="l4"))


def test_an_engine_of_another_graph_is_refused(find):
    with pytest.raises(UserError, match="does not fit here: graph is "):
        find(graph="0" * 64)


def test_a_changed_file_is_refused(tiny_bundle, tmp_path):
    bundle = add_engine(tiny_bundle, tmp_path / "rain.spair")
    (bundle / "engines" / "local" / "fp32.served.engine").write_bytes(b"another")
    with pytest.raises(UserError, match=r"fp32.served.engine was changed"):
        find_served_engine(Bundle.open(bundle), SETTINGS)


def test_engines_of_two_libraries_do_not_share_a_server(tiny_bundle, tmp_path):
    engines = {
        name: find_served_engine(Bundle.open(add_engine(tiny_bundle, tmp_path / name, library=library)), SETTINGS)
        for name, library in (("a", b"one"), ("b", b"one"), ("c", b"two"))
    }
    check_libraries({})
    check_libraries({name: engines[name] for name in ("a", "b")})
    with pytest.raises(UserError, match="the engines of a and c were built with different plugin libraries"):
        check_libraries(engines)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.5.0", "10.5.0.18", True),
        ("10.5.0.18", "10.5.0", True),
        ("10.5.0.18", "10.5.0.18", True),
        ("10.5.0.17", "10.5.0.18", False),
        ("10.5.1", "10.5.0.18", False),
        ("1.5.0", "10.5.0", False),
    ],
)
def test_versions_are_the_same_as_far_as_both_are_given(one, other, same):
    assert are_same(one, other) is same
