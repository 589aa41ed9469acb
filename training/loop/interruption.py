"""Interruption of a run by Ctrl-C and SIGTERM.

The run ends at the next step, whatever it is doing, with an exit code that says so.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

TERMINATED = 128 + signal.SIGTERM
"""Exit code of a run that SIGTERM ended, as a scheduler does.

A shell reports the same code for a process killed by this signal.
"""


class Interruption(Callback):
    """Callback that remembers Ctrl-C.

    Python raises KeyboardInterrupt at any place of the main thread. It drops the exception inside a destructor, such as
    the destructor of the loader's iterator at the end of an epoch. Then the next step raises it again.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._trainer: L.Trainer | None = None

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Remember the trainer, which receives SIGTERM."""
        self._trainer = trainer

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int) -> None:
        """Stop if Ctrl-C was dropped."""
        self._stop_if_pressed()

    def on_validation_batch_start(
        self, trainer: L.Trainer, module: L.LightningModule, batch: Any, index: int, *rest: int
    ) -> None:
        """Stop if Ctrl-C was dropped."""
        self._stop_if_pressed()

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Catch interruptions while the trainer works.

        Use it around the trainer's work, in the main thread. A Ctrl-C that other code handles or ignores is left to it.

        Raises:
            KeyboardInterrupt: after a Ctrl-C; the trainer itself would raise SystemExit(1), and a loader whose worker
                was interrupted first a RuntimeError.
            SystemExit: with `TERMINATED`, after a SIGTERM. The trainer's own exception has the exit code of success. A
                loader whose worker also got the signal, as schedulers send it, raises a RuntimeError.
        """
        ours = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if ours:
            signal.signal(signal.SIGINT, self._press)
        try:
            yield
        except SIGTERMException as error:
            raise SystemExit(TERMINATED) from error
        except (SystemExit, Exception) as error:
            if self._pressed or isinstance(error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            if isinstance(error, RuntimeError) and self._trainer is not None and self._trainer.received_sigterm:
                raise SystemExit(TERMINATED) from error
            raise
        finally:
            if ours:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def _press(self, number: int, frame: FrameType | None) -> NoReturn:
        self._pressed = True
        raise KeyboardInterrupt

    def _stop_if_pressed(self) -> None:
        if self._pressed:
            raise KeyboardInterrupt
