"""Double of Ray's data sets, which works in this process and repeats work as a cluster that loses nodes."""

from __future__ import annotations

import contextlib
import copy
from types import SimpleNamespace


class RayError(Exception):
    """Base of Ray's errors."""


class RayTaskError(RayError):
    """Error of a function that Ray ran."""


class ClusterDouble:
    """Part of the package `ray` that runs need."""

    def __init__(self, *, cpus=(2.0,), repeat=False, failure=None, lose=()):
        """Make a cluster.

        Args:
            cpus: CPUs of each node.
            repeat: give each row to a second worker as well, backwards, and pass on the second answer.
            failure: raised after the first answer.
            lose: numbers of rows that are never answered.
        """
        self.repeat, self.failure, self.lose = repeat, failure, lose
        self.options: dict = {}
        self.blocks = 0
        context = SimpleNamespace(enable_progress_bars=True, print_on_execution_start=True)
        self.data = SimpleNamespace(
            from_items=self._read,
            ActorPoolStrategy=lambda **options: options,
            DataContext=SimpleNamespace(get_current=lambda: context),
        )
        self.exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
        self.nodes = lambda: [{"Alive": True, "Resources": {"CPU": one}} for one in cpus]

    @contextlib.contextmanager
    def connect(self, address):
        self.address = address
        yield self

    def _read(self, rows, *, override_num_blocks):
        self.rows, self.blocks = copy.deepcopy(rows), override_num_blocks
        return self

    def map(self, worker, *, fn_constructor_args, **options):
        self.options = options
        self.workers = [worker(*fn_constructor_args) for _ in range(1 + self.repeat)]
        return self

    def iter_rows(self):
        rows = [row for row in reversed(self.rows) if row["number"] not in self.lose]  # in an order of its own
        answers = [[worker(row) for row in rows] for worker in self.workers]
        for number, answer in enumerate(answers[-1]):
            if number and self.failure is not None:
                raise self.failure
            yield answer
