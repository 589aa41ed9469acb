"""Classes that receive messages and times."""

from __future__ import annotations

import enum


class ILogger:
    """Receiver of messages; subclasses define `log` and call this `__init__`."""

    class Severity(enum.IntEnum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self) -> None:
        self._made = True

    def log(self, severity: ILogger.Severity, msg: str) -> None:
        """Take one message."""
        raise NotImplementedError


class Logger(ILogger):
    """Logger that prints."""

    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = ILogger.Severity

    def __init__(self, min_severity: ILogger.Severity = ILogger.Severity.WARNING) -> None:
        super().__init__()
        self.min_severity = min_severity

    def log(self, severity: ILogger.Severity, msg: str) -> None:
        """Print one message that is severe enough."""
        if severity <= self.min_severity:
            print(f"[TRT] [{severity.name[0]}] {msg}")


class IProfiler:
    """Receiver of layer times.

    Subclasses define `report_layer_time` and call this `__init__`.
    """

    def __init__(self) -> None:
        self._made = True

    def report_layer_time(self, layer_name: str, ms: float) -> None:
        """Take the milliseconds of one layer."""
        raise NotImplementedError
