"""Run of many pictures on a cluster, with one report."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...runtime.batch.jobs import BatchReport, FailureRecord, ImageRecord, Outcome, SkipRecord
from ...runtime.batch.ledger import Ledger
from ...runtime.batch.planning import Job
from ...runtime.clock import CountProgress
from ...runtime.errors import UserError
from ...runtime.shipped import find_model
from ...temporary.leftovers import remove_beside
from .connection import connect, list_nodes
from .journal import Journal, open_journal, parse_outcome
from .placement import Placement, place_actors
from .setting import ClusterSetting, ModelSetting
from .worker import RestoreWorker, make_row

BLOCKS_OF_ACTOR = 8
"""Number of blocks of rows for each actor. Fewer leave actors idle at the end; more cost messages."""
MAX_BLOCK_ROWS = 16
"""Largest number of pictures of which a lost process loses the one at hand and gives back the rest."""


@dataclass
class ClusterReport(BatchReport):
    """Results of a run in the order of its jobs."""

    nodes: int = 0
    """Number of nodes that had actors at the start; 0 where nothing was left to do."""
    actors: int = 0


def name_model(model: str | os.PathLike[str]) -> str:
    """Return a model as nodes find it.

    It is the absolute path of a bundle, or a name of shipped weights, whose bundle each node makes in its own cache.
    """
    return str(model) if find_model(model) is not None else str(Path(model).absolute())


def run_on_cluster(
    model: ModelSetting,
    jobs: Sequence[Job],
    out: Path,
    cluster: ClusterSetting,
    *,
    resume: bool = False,
    ledger: Ledger | None = None,
    progress: CountProgress | None = None,
) -> ClusterReport:
    """Run planned jobs on the nodes of a cluster.

    The nodes read the pictures and write the results themselves, so all must see these folders under the same paths.
    Each result is written whole or not at all. When processes or nodes are lost, others do what they had not finished;
    a lost head node ends the run, and `resume` goes on from there.

    Args:
        model: model and the way to open it on each node.
        jobs: what to read and where to write it.
        out: existing folder of the results.
        cluster: address and number of actors.
        resume: leave jobs alone whose results all exist, as `run_job` tells; otherwise results are replaced.
        ledger: record of the results, which is kept up to date; None for none.
        progress: called after each job.

    Raises:
        UserError: Ray is absent, no cluster answers, a node cannot work, or the cluster broke down.
    """
    outcomes = _settle(jobs, resume, ledger)
    report = ClusterReport()
    pending = {number: job for number, job in enumerate(jobs) if number not in outcomes}
    if pending:
        # The connection ends first, so that no actor writes any more when its traces are removed.
        with (
            _sweeping(jobs),
            open_journal(out) as journal,
            _recording(ledger, pending, journal) as record,
            connect(cluster.address) as ray,
        ):
            placement = place_actors(
                list_nodes(ray),
                pictures=len(pending),
                threads=model.threads,
                actors=cluster.actors,
                on_gpu=model.on_gpu,
            )
            report.nodes, report.actors = placement.nodes, placement.actors
            for number, outcome in _stream(ray, model, pending, journal, placement):
                outcomes[number] = _restore_paths(outcome, jobs[number])
                record(number, outcomes[number])
                if progress is not None:
                    progress(len(outcomes), len(jobs), str(jobs[number].source))
    _check_complete(outcomes, jobs)
    for number in range(len(jobs)):
        report.add(outcomes[number])
    return report


def _settle(jobs: Sequence[Job], resume: bool, ledger: Ledger | None) -> dict[int, Outcome]:
    """Find the outcomes that are known before any work."""
    outcomes: dict[int, Outcome] = {}
    for number, job in enumerate(jobs):
        if job.obstacle is not None:
            outcomes[number] = FailureRecord(str(job.source), job.obstacle)
        elif resume and (job.is_done if ledger is None else ledger.is_done(job)):
            outcomes[number] = SkipRecord(str(job.source))
    return outcomes


def _stream(
    ray: Any, model: ModelSetting, pending: Mapping[int, Job], journal: Path, placement: Placement
) -> Iterator[tuple[int, Outcome]]:
    """Yield numbers and outcomes as they come."""
    _quieten(ray)
    rows = [make_row(number, job) for number, job in pending.items()]
    blocks = max(len(rows) // MAX_BLOCK_ROWS, min(len(rows), BLOCKS_OF_ACTOR * placement.actors))
    answers = ray.data.from_items(rows, override_num_blocks=blocks).map(
        RestoreWorker,
        fn_constructor_args=(model, str(journal), importlib.metadata.version("spair-rt")),
        compute=ray.data.ActorPoolStrategy(size=placement.actors, max_tasks_in_flight_per_actor=2),
        num_cpus=placement.cpus,
        num_gpus=placement.gpus or None,
    )
    try:
        for answer in answers.iter_rows():
            if answer["refusal"]:
                raise UserError(answer["refusal"])
            yield int(answer["number"]), parse_outcome(answer["outcome"])
    except ray.exceptions.RayTaskError:
        raise  # a bug in a worker keeps its traceback
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"the cluster broke down ({reason}); what is written is whole: go on with --skip-existing"
        ) from error


def _quieten(ray: Any) -> None:
    """Leave progress to the caller."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)


@contextmanager
def _sweeping(jobs: Sequence[Job]) -> Iterator[None]:
    """Remove what killed writers left, in the end."""
    try:
        yield
    finally:
        remove_beside(target for job in jobs for target in job.targets)


@contextmanager
def _recording(
    ledger: Ledger | None, pending: Mapping[int, Job], journal: Path
) -> Iterator[Callable[[int, Outcome], None]]:
    """Record results as their outcomes come.

    In the end, those are recorded too that the nodes finished, but could not report before the run was broken off.
    """
    if ledger is None:
        yield lambda number, outcome: None
        return
    stamps, kept, known = {number: ledger.begin(job) for number, job in pending.items()}, Journal(journal), set()

    def record(number: int, outcome: Outcome | None) -> None:
        known.add(number)
        if isinstance(outcome, ImageRecord):
            ledger.add(pending[number], stamps[number], Path(outcome.output))

    try:
        yield record
    finally:
        for number in pending.keys() - known:
            record(number, kept.find(number))


def _restore_paths(outcome: Outcome, job: Job) -> Outcome:
    """Name the files as the caller did."""
    if isinstance(outcome, ImageRecord):
        mask = None if job.mask is None else str(job.mask)
        output = job.output.with_name(Path(outcome.output).name)  # its format may not be the planned one
        return replace(outcome, input=str(job.source), output=str(output), mask=mask)
    return replace(outcome, input=str(job.source))


def _check_complete(outcomes: Mapping[int, Outcome], jobs: Sequence[Job]) -> None:
    lost = [job for number, job in enumerate(jobs) if number not in outcomes]
    if lost:
        raise UserError(
            f"the cluster gave no answer for {len(lost)} of {len(jobs)} pictures, among them {lost[0].source}; "
            "go on with --skip-existing"
        )
