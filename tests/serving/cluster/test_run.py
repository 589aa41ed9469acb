"""A run on a cluster gives the report of a batch, whatever the cluster repeats or loses."""

import json

import numpy as np
import pytest

from spair.runtime import Picture, Restorer, UserError, write_image
from spair.runtime.batch.jobs import run_jobs
from spair.runtime.batch.ledger import NAME, Ledger
from spair.runtime.batch.planning import plan_jobs
from spair.runtime.images.finding import find_inputs
from spair.serving.cluster.run import MAX_BLOCK_ROWS, name_model, run_on_cluster
from spair.serving.cluster.setting import ClusterSetting, ModelSetting
from tests.serving.cluster.doubles import ClusterDouble, RayError, RayTaskError
from tests.temporary.dead import left_by_the_dead

SIZES = ((1, 1), (23, 37), (64, 8), (16, 16))


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of pictures that the tests name by a relative path."""
    random = np.random.default_rng(4)
    (tmp_path / "photos").mkdir()
    for number, (height, width) in enumerate(SIZES):
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        write_image(tmp_path / "photos" / f"{number}.png", Picture(pixels))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


@pytest.fixture
def run(photos, tiny_bundle, tmp_path, monkeypatch):
    """`run(ClusterDouble(...), "out")` restores the photos into a folder."""

    def start(ray, out, *, model=tiny_bundle, save_mask=False, actors=None, **options):
        monkeypatch.setattr("spair.serving.cluster.run.connect", ray.connect)
        folder = tmp_path / out
        folder.mkdir(exist_ok=True)
        inputs = find_inputs(["photos"], exclude=folder)
        jobs = plan_jobs(inputs, folder.relative_to(tmp_path), save_mask=save_mask)
        setting = ModelSetting(str(model), threads=1)
        return run_on_cluster(setting, jobs, folder, ClusterSetting("auto", actors), **options)

    return start


def list_files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("repeat", [False, True], ids=["once", "repeated by a second worker"])
def test_report_and_results_are_those_of_a_batch(run, tiny_bundle, tmp_path, repeat):
    seen = []
    report = run(ClusterDouble(cpus=(2.0, 2.0), repeat=repeat), "out", save_mask=True,
                 progress=lambda done, total, name: seen.append((done, total)))  # fmt: skip
    (tmp_path / "plain").mkdir()
    with Restorer.open(tiny_bundle, backend="onnxruntime", threads=1) as restorer:
        plain = run_jobs(restorer, plan_jobs(find_inputs(["photos"]), tmp_path / "plain", save_mask=True))
    assert list_files(tmp_path / "out") == list_files(tmp_path / "plain")
    for name in list_files(tmp_path / "plain"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    ours, theirs = json.loads(json.dumps(report.to_json())), plain.to_json()
    assert (ours.pop("nodes"), ours.pop("actors")) == (2, 4)
    assert set(ours) == set(theirs)
    assert [one["input"] for one in ours["images"]] == [f"photos/{number}.png" for number in range(4)]
    assert [one["output"] for one in ours["images"]] == [f"out/{number}.png" for number in range(4)]
    assert [one["mask"] for one in ours["images"]] == [f"out/{number}.mask.png" for number in range(4)]
    assert [one["density"] for one in ours["images"]] == [one["density"] for one in theirs["images"]]
    assert sorted(seen) == [(number, 4) for number in (1, 2, 3, 4)]


def test_a_bad_file_is_reported_and_the_rest_goes_on(run, photos, tmp_path):
    (photos / "1.png").write_text("no picture")
    report = run(ClusterDouble(), "out")
    assert not report.ok and [one.input for one in report.failed] == ["photos/1.png"]
    assert list_files(tmp_path / "out") == ["0.png", "2.png", "3.png"]


def test_resume_sends_only_what_is_missing(run, tmp_path):
    run(ClusterDouble(), "out")
    (tmp_path / "out" / "2.png").unlink()
    ray = ClusterDouble()
    report = run(ray, "out", resume=True)
    assert [row["number"] for row in ray.rows] == [2]
    assert report.skipped == ["photos/0.png", "photos/1.png", "photos/3.png"]
    assert [one.input for one in report.images] == ["photos/2.png"]


def test_resume_goes_by_the_record_of_the_results(run, tmp_path):
    (tmp_path / "out").mkdir()
    for model, sent in (("a", [0, 1, 2, 3]), ("a", []), ("b", [0, 1, 2, 3])):
        ray = ClusterDouble()
        report = run(ray, "out", resume=True, ledger=Ledger(tmp_path / "out", {"digest": model}))
        assert [row["number"] for row in getattr(ray, "rows", [])] == sent and report.ok


def test_what_nodes_finished_before_a_break_is_recorded(run, tmp_path):
    """They tell it by the journal, since nobody listens any more."""
    (tmp_path / "out").mkdir()

    def stop(done, total, name):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ClusterDouble(), "out", ledger=Ledger(tmp_path / "out", {}), progress=stop)
    there = [name for name in list_files(tmp_path / "out") if name != NAME]
    report = run(ClusterDouble(), "out", resume=True, ledger=Ledger(tmp_path / "out", {}))
    assert there and report.skipped == [f"photos/{name}" for name in there]


def test_nothing_left_to_do_needs_no_cluster(run):
    run(ClusterDouble(), "out")
    ray = ClusterDouble()
    report = run(ray, "out", resume=True)
    assert not hasattr(ray, "address") and (report.nodes, report.actors, len(report.skipped)) == (0, 0, 4)


def test_without_resume_results_are_replaced(run, tmp_path):
    run(ClusterDouble(), "out")
    (tmp_path / "out" / "0.png").write_bytes(b"old")
    run(ClusterDouble(), "out")
    assert (tmp_path / "out" / "0.png").read_bytes() != b"old"


def test_a_node_that_cannot_work_stops_the_run_with_its_sentence(run, tmp_path):
    with pytest.raises(UserError, match=r"the node .* cannot work: .*no\.spair"):
        run(ClusterDouble(), "out", model=tmp_path / "no.spair")
    assert list_files(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("failure", "expected", "match"),
    [
        (RayError("the head node is lost"), UserError, r"broke down \(the head node is lost\).*go on with --skip-exis"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
    ],
)
def test_a_run_that_breaks_off_leaves_whole_results_only(run, tmp_path, failure, expected, match):
    (tmp_path / "out").mkdir()
    left = left_by_the_dead(tmp_path / "out" / "1.png")
    left.write_bytes(b"half a picture of a killed process")
    (tmp_path / "out" / ".other.tmp").touch()
    with pytest.raises(expected, match=match):
        run(ClusterDouble(failure=failure), "out")
    assert list_files(tmp_path / "out") == [".other.tmp", "0.png", "1.png", "2.png", "3.png"]


def test_a_bug_in_a_worker_keeps_its_traceback(run):
    with pytest.raises(RayTaskError, match="a bug"):
        run(ClusterDouble(failure=RayTaskError("a bug")), "out")


def test_a_picture_without_an_answer_is_never_taken_for_done(run):
    with pytest.raises(UserError, match=r"no answer for 2 of 4 pictures, among them photos/1\.png"):
        run(ClusterDouble(lose=(1, 2)), "out")


def test_actors_claim_a_part_of_the_cores_and_lose_few_pictures(run):
    ray = ClusterDouble(cpus=(2.0, 2.0))
    run(ray, "out")
    assert ray.options["compute"]["size"] * ray.options["num_cpus"] <= 2.0
    assert ray.options["num_gpus"] is None
    assert ray.blocks == len(SIZES), "few pictures go one by one"
    assert MAX_BLOCK_ROWS * ray.blocks >= len(SIZES)


def test_progress_is_the_callers_alone(run):
    ray = ClusterDouble()
    run(ray, "out")
    context = ray.data.DataContext.get_current()
    assert not context.enable_progress_bars and not context.print_on_execution_start


def test_models_are_named_as_nodes_find_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert name_model("rain") == "rain"
    assert name_model("some/rain.spair") == str(tmp_path / "some" / "rain.spair")
    (tmp_path / "rain").mkdir()
    assert name_model("rain") == str(tmp_path / "rain"), "a path that exists wins over a name"
