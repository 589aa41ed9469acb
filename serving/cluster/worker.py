"""Worker of a cluster, which holds one restorer.

It is a plain class; Ray makes an actor of it.
"""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from ...runtime import Restorer
from ...runtime.batch.jobs import FailureRecord, Outcome, run_job
from ...runtime.batch.planning import Job
from .journal import MAX_TRIES, Journal, format_outcome
from .setting import ModelSetting

Row = dict[str, Any]
"""Row of a data set by column."""


def make_row(number: int, job: Job) -> Row:
    """Describe a job for a worker, with absolute paths.

    A worker runs in another folder than the one who calls.
    """
    mask = "" if job.mask is None else str(job.mask.absolute())
    return {
        "number": number,
        "source": str(job.source.absolute()),
        "output": str(job.output.absolute()),
        "mask": mask,
        "max_pixels": job.max_pixels,
        "quality": job.quality or 0,
        "strict": job.strict,
        "accept_damaged": job.accept_damaged,
        "range": "" if job.range is None else f"{job.range[0]!r}:{job.range[1]!r}",
    }


class RestoreWorker:
    """Restorer of rows."""

    def __init__(self, setting: ModelSetting, journal: str, version: str) -> None:
        """Open the model.

        What keeps this node from working is told by every row, since a constructor that fails would be tried again.

        Args:
            setting: model and the way to open it.
            journal: folder of the run's journal, which shows whether this node sees the results' folder.
            version: version of spair-rt where the run was started.
        """
        self._journal = Journal(Path(journal))
        self._restorer: Restorer | None = None
        self._refusal = _check_node(Path(journal), version)
        if self._refusal:
            return
        try:
            self._restorer = open_restorer(setting)
        except Exception as error:
            if not hasattr(error, "exit_code"):  # a bug keeps its traceback
                raise
            self._refusal = str(error)

    def __call__(self, row: Row) -> Row:
        """Restore the picture of a row.

        Returns:
            The row's number, with the outcome as JSON, or with a sentence why this node cannot work.
        """
        answer = {"number": row["number"], "outcome": "", "refusal": ""}
        if self._restorer is None:
            return {**answer, "refusal": f"the node {platform.node()} cannot work: {self._refusal}"}
        return {**answer, "outcome": format_outcome(self._run(self._restorer, row))}

    def close(self) -> None:
        """Release the model; may be called twice."""
        if self._restorer is not None:
            self._restorer.close()

    def _run(self, restorer: Restorer, row: Row) -> Outcome:
        number = int(row["number"])
        known = self._journal.find(number)
        if known is not None:
            return known
        job = Job(
            Path(row["source"]),
            Path(row["output"]),
            Path(row["mask"]) if row["mask"] else None,
            max_pixels=int(row["max_pixels"]),
            quality=int(row["quality"]) or None,
            strict=bool(row["strict"]),
            accept_damaged=bool(row["accept_damaged"]),
            range=_read_range(row["range"]),
        )
        if self._journal.begin(number):
            outcome = run_job(restorer, job)
        else:
            outcome = FailureRecord(
                str(job.source),
                f"cannot restore {job.source}: {MAX_TRIES} processes died at it, perhaps for want of memory; "
                "try it alone, with a smaller --tile",
            )
        self._journal.finish(number, outcome)
        return outcome


def _read_range(text: str) -> tuple[float, float] | None:
    low, separator, high = text.partition(":")
    return (float(low), float(high)) if separator else None


def open_restorer(setting: ModelSetting) -> Restorer:
    """Open the model as the setting says.

    Raises:
        UserError: the bundle, or an option, cannot be used on this node.
        EngineError: TensorRT refuses an engine that fits.
    """
    return Restorer.open(
        setting.model,
        backend=setting.backend,
        precision=setting.precision,
        threads=setting.threads,
        tile=setting.tile,
        tile_path=setting.tile_path,
        trust_code=setting.trust_code,
        expect_digest=setting.expect_digest,
        threshold=setting.threshold,
        flips=setting.flips,
    )


def _check_node(journal: Path, version: str) -> str:
    """Return why this node cannot work.

    Its results would be lost, or differ from those of others. Empty if nothing is wrong.
    """
    own = importlib.metadata.version("spair-rt")
    if own != version:
        return f"it has spair-rt {own}, and the run was started by {version}; install the same version on every node"
    if not journal.is_dir():
        return f"it does not see the folder {journal.parent}; the nodes must share the folders of pictures and results"
    return ""
