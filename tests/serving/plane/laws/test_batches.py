"""Requests of one size may be computed in one go, and are answered one by one."""

import asyncio

import numpy as np

from spair.serving.errors import FailedError
from spair.serving.options import ModelOptions
from tests.serving.plane import commanded
from tests.serving.plane.planes import calls, command, infer, pictures, running, until

OPENER = commanded.OPENER


def test_requests_of_one_size_are_computed_in_one_go_where_a_batch_is_allowed(tmp_path):
    async def work(one):
        first = asyncio.create_task(infer(one, command(commanded.WAIT)))
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        values = [pictures(count, seed=count) for count in (2, 1, 1, 3)] + [pictures(1, 4, 4)]
        tasks = [
            asyncio.create_task(infer(one, each, outputs=("mask", "restored") if place else ("restored",)))
            for place, each in enumerate(values)
        ]
        await asyncio.sleep(0)
        (tmp_path / "go").touch()
        answers = await asyncio.gather(*tasks)
        await first
        for each, answer in zip(values, answers, strict=True):
            np.testing.assert_array_equal({o.name: o.values for o in answer.outputs}["restored"], 255 - each)
            assert answer.parameters["tiles_dense"] == 3 * len(each)
        assert [[output.name for output in answer.outputs] for answer in answers][:2] == [
            ["restored"],
            ["mask", "restored"],
        ]

    with running({"m": tmp_path}, ModelOptions(batch=4), opener=OPENER) as one:
        one.run(work(one))
        (entry,) = one.plane.count("m")
        assert entry["execution_count"] == 4  # the one that waited, 2 + 1 + 1, 3, the other size
        assert [each["batch_size"] for each in entry["batch_stats"]] == [1, 3, 4]


def test_one_bad_picture_fails_its_own_request_alone_in_a_batch(tmp_path):
    async def work(one):
        first = asyncio.create_task(infer(one, command(commanded.WAIT)))
        await until(lambda: calls(tmp_path) == [commanded.WAIT])
        tasks = [asyncio.create_task(infer(one, command(number))) for number in (1, commanded.MISS_GATE, 2)]
        await asyncio.sleep(0)
        (tmp_path / "go").touch()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    with running({"m": tmp_path}, ModelOptions(batch=3), opener=OPENER) as one:
        before, failed, after = one.run(work(one))
        assert isinstance(failed, FailedError)
        assert before.outputs[0].values.flat[0] == 254 and after.outputs[0].values.flat[0] == 253
