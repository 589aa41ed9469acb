"""The backend "auto" takes an engine that fits, and says in the log why it does not."""

import logging

import pytest

from spair.runtime import Restorer, UserError
from spair.runtime.engine.network import EngineNetwork
from tests.runtime.engine.pictures import draw


def is_on_engine(path, **options):
    with Restorer.open(path, **options) as restorer:
        restorer(draw(8, 8))
        on_engine = isinstance(restorer.network, EngineNetwork)
        assert restorer.backend in (("tensorrt",) if on_engine else ("cpu", "onnxruntime"))
        return on_engine


def test_auto_takes_an_engine_that_fits(engine_bundle):
    assert is_on_engine(engine_bundle.path)
    assert not is_on_engine(engine_bundle.path, backend="onnxruntime", threads=1)


def test_auto_takes_the_cpu_where_there_are_no_engines(gpu, trt, shipped):
    assert not is_on_engine(shipped, threads=1)


def test_auto_says_why_no_engine_runs(engine_bundles, caplog):
    bundle = engine_bundles.make(key={"version": "10.9.0"})
    with caplog.at_level(logging.INFO, logger="spair"):
        assert not is_on_engine(bundle.path, threads=1)
    assert "no engine runs" in caplog.text and "version is 10.9.0" in caplog.text


def test_auto_runs_no_code_that_nobody_trusts(engine_bundles, caplog):
    bundle = engine_bundles.make(trusted=False)
    with caplog.at_level(logging.INFO, logger="spair"):
        assert not is_on_engine(bundle.path, threads=1)
    assert "spair trust" in caplog.text
    assert is_on_engine(bundle.path, trust_code=True)


@pytest.mark.parametrize("path", ["dense", "packed"])
def test_a_tile_path_is_of_the_cpu(engine_bundle, path):
    with pytest.raises(UserError, match=f"the tile path is {path}, and engines have one path only"):
        Restorer.open(engine_bundle.path, backend="tensorrt", tile_path=path)
    assert not is_on_engine(engine_bundle.path, tile_path="dense", threads=1)
