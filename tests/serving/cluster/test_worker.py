"""Workers restore rows as the command line restores files, and tell why a node cannot work."""

import importlib.metadata
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from spair.runtime import Picture, Restorer, write_image
from spair.runtime.batch.jobs import run_jobs
from spair.runtime.batch.planning import Job
from spair.runtime.images import MAX_PIXELS
from spair.serving.cluster.journal import MAX_TRIES, Journal, parse_outcome
from spair.serving.cluster.setting import ModelSetting
from spair.serving.cluster.worker import RestoreWorker, make_row

VERSION = importlib.metadata.version("spair-rt")


@pytest.fixture
def journal(tmp_path) -> Path:
    (tmp_path / "out" / ".journal").mkdir(parents=True)
    return tmp_path / "out" / ".journal"


@pytest.fixture
def worker(tiny_bundle, journal):
    made = RestoreWorker(ModelSetting(str(tiny_bundle), threads=1, tile=32), str(journal), VERSION)
    yield made
    made.close()


@pytest.fixture
def jobs(tmp_path) -> list[Job]:
    """Pictures of awkward sizes, with a place for results and masks."""
    random = np.random.default_rng(3)
    for height, width in ((1, 1), (37, 61), (64, 8)):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        write_image(tmp_path / f"{height}.png", Picture(pixels))
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    out = tmp_path / "out"
    return [Job(tmp_path / name, out / name, out / f"{name}.mask.png") for name in names]


def test_results_are_those_of_a_batch_bit_for_bit(worker, tiny_bundle, jobs, tmp_path):
    answers = [worker(make_row(number, job)) for number, job in enumerate(jobs)]
    assert [answer["number"] for answer in answers] == [0, 1, 2]
    plain = [Job(job.source, tmp_path / "plain" / job.output.name, tmp_path / "plain" / job.mask.name) for job in jobs]
    with Restorer.open(tiny_bundle, backend="onnxruntime", threads=1, tile=32) as restorer:
        report = run_jobs(restorer, plain)
    for job, other, answer, record in zip(jobs, plain, answers, report.images, strict=True):
        assert job.output.read_bytes() == other.output.read_bytes()
        assert job.mask.read_bytes() == other.mask.read_bytes()
        outcome = parse_outcome(answer["outcome"])
        assert (outcome.density, outcome.tiles, outcome.width) == (record.density, record.tiles, record.width)


def test_a_bad_file_is_a_failed_row_and_the_worker_goes_on(worker, jobs):
    jobs[1].source.write_text("no picture")
    answers = [json.loads(worker(make_row(number, job))["outcome"]) for number, job in enumerate(jobs)]
    assert [answer["kind"] for answer in answers] == ["ImageRecord", "FailureRecord", "ImageRecord"]
    assert "it is not a picture" in answers[1]["error"]
    assert not jobs[1].output.exists()


def test_a_repeated_row_is_answered_from_the_journal_and_written_once(worker, jobs):
    row = make_row(0, jobs[0])
    first = worker(row)
    written = jobs[0].output.stat()
    assert worker(row) == first
    assert (jobs[0].output.stat().st_ino, jobs[0].output.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


def test_a_picture_that_kills_its_processes_fails_in_the_end(worker, jobs, journal):
    for _ in range(MAX_TRIES):
        Journal(journal).begin(0)  # and the process died
    outcome = parse_outcome(worker(make_row(0, jobs[0]))["outcome"])
    assert f"{MAX_TRIES} processes died at it" in outcome.error
    assert not jobs[0].output.exists()


def test_bugs_are_not_hidden(worker, jobs, monkeypatch):
    def buggy(*arguments, **options):
        raise TypeError("a bug")

    monkeypatch.setattr("spair.serving.cluster.worker.run_job", buggy)
    with pytest.raises(TypeError, match="a bug"):
        worker(make_row(0, jobs[0]))


def refusal(model, journal, version=VERSION, **options) -> str:
    worker = RestoreWorker(ModelSetting(str(model), **options), str(journal), version)
    answer = worker({"number": 4, "source": "a.png", "output": "b.png", "mask": ""})
    assert (answer["number"], answer["outcome"]) == (4, "")
    return answer["refusal"]


def test_a_node_that_does_not_see_the_model_says_so(journal, tmp_path):
    assert "cannot work: " in refusal(tmp_path / "no.spair", journal)
    assert "no.spair" in refusal(tmp_path / "no.spair", journal)


def test_a_node_that_does_not_see_the_results_says_so(tiny_bundle, tmp_path):
    found = refusal(tiny_bundle, tmp_path / "out" / ".journal")
    assert f"does not see the folder {tmp_path / 'out'}; the nodes must share" in found
    assert not (tmp_path / "out").exists()


def test_a_node_of_another_version_says_so(tiny_bundle, journal):
    assert f"it has spair-rt {VERSION}, and the run was started by 9.9; install" in refusal(tiny_bundle, journal, "9.9")


def test_an_option_that_the_bundle_cannot_meet_is_told(tiny_bundle, journal):
    assert "has no fp16 graphs" in refusal(tiny_bundle, journal, precision="fp16")


def test_a_damaged_bundle_is_told(tiny_bundle, journal, tmp_path):
    copy = shutil.copytree(tiny_bundle, tmp_path / "copy.spair")
    (copy / "manifest.json").write_text("{")
    assert "copy.spair" in refusal(copy, journal)


def test_rows_have_absolute_paths_since_actors_run_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = make_row(7, Job(Path("in/a.png"), Path("out/a.png")))
    files = {"source": f"{tmp_path}/in/a.png", "output": f"{tmp_path}/out/a.png", "mask": ""}
    assert row == {
        "number": 7,
        **files,
        "quality": 0,
        "strict": False,
        "accept_damaged": False,
        "range": "",
        "max_pixels": MAX_PIXELS,
    }


def test_rows_carry_how_results_are_saved(tmp_path, worker):
    write_image(tmp_path / "a.tif", Picture(np.full((8, 8, 3), 90.0, np.float32)))
    job = Job(tmp_path / "a.tif", tmp_path / "b.tif", quality=80, strict=True, accept_damaged=True, range=(0.0, 255.0))
    outcome = json.loads(worker(make_row(0, job))["outcome"])
    assert outcome["kind"] == "ImageRecord", "without the range it would be refused"


def test_what_ray_sends_to_other_processes_can_be_sent():
    setting = ModelSetting("rain", threads=2, tile=64)
    assert pickle.loads(pickle.dumps((RestoreWorker, setting))) == (RestoreWorker, setting)
