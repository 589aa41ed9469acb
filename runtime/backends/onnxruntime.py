"""Backend of ONNX Runtime, which needs no GPU."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..arrays import make_native
from ..errors import UserError
from ..graphs import free_threshold, make_integer, make_lean
from .package import load_onnxruntime
from .placement import RECORD, list_cpu_work
from .products import has_exact_products

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_MEMORY_WORDS = ("allocate", "bad_alloc", "out of memory")
"""Words of ONNX Runtime when memory runs out."""
WRONG_OPTIMIZERS = "WeightBiasQuantization"
"""Optimizers of ONNX Runtime that are left out. This one quantizes the bias of a convolution by the product of its two
scales, which it stores in halves where the scales are halves: it vanishes there, and the bias becomes any number (seen
with 1.32; since 1.21 according to its pull request 22889)."""
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class GraphRunError(UserError):
    """Failure of a loaded graph on given inputs.

    Its cause is the exception of ONNX Runtime.
    """


def unavailable(device: str) -> str | None:
    """Say why ONNX Runtime cannot use a device.

    Args:
        device: "cpu" or "cuda".

    Returns:
        The reason, with the remedy; None if the device can be used.
    """
    if device not in _PROVIDERS:
        return f"ONNX Runtime knows the devices {' and '.join(_PROVIDERS)} here, not {device!r}"
    try:
        ort = load_onnxruntime()
    except UserError as error:
        return str(error)
    if _PROVIDERS[device] not in ort.get_available_providers():
        return f"the installed onnxruntime has no {_PROVIDERS[device]}; install onnxruntime-gpu"
    return None


class OnnxGraph:
    """Graph in a session of ONNX Runtime.

    It is a context manager that owns the session until `close`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        device: str = "cpu",
        trace: Path | None = None,
        as_written: bool = False,
    ) -> None:
        """Load a graph.

        On the CPU it is computed in a faster form, where it has one: see `spair.runtime.graphs.lean` and
        `spair.runtime.graphs.integers`. Where the graph finds a mask, the logit that it compares with becomes an input
        that may be left out, see `spair.runtime.graphs.thresholds`.

        Args:
            path: the .onnx file.
            threads: number of threads inside an operator, >= 1; None lets ONNX Runtime use every core.
            device: "cpu" or "cuda".
            trace: existing folder for ONNX Runtime's profile of this session, see `end_trace`; None writes no profile.
            as_written: compute the nodes of the file instead, to compare both.

        Raises:
            UserError: threads is less than 1; the device is not available; ONNX Runtime silently does not use it, or
                silently leaves convolutions or matrix products to the CPU; the file is not a valid graph.
        """
        if threads is not None and threads < 1:
            raise UserError(f"the number of threads is {threads}, expected 1 or more")
        reason = unavailable(device)
        if reason:
            raise UserError(f"cannot run {path} on {device}: {reason}")
        ort = load_onnxruntime()
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 4  # what it says on stderr comes back in its exceptions, which are told once
        # A restorer runs several sessions in turn. Threads that spin while they wait would slow down the others.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.add_session_config_entry("optimization.disable_specified_optimizers", WRONG_OPTIMIZERS)
        if device != "cpu":
            options.add_session_config_entry(RECORD, "1")
        if trace is not None:
            options.enable_profiling = True
            options.profile_file_prefix = os.fspath(trace / Path(path).stem)
        self.path = Path(path)
        self._traced = trace is not None
        if device != "cpu":
            _load_cuda()
        form = None if as_written else _read_form(self.path, faster=device == "cpu")
        self._session: Any = _session(self.path, form, options, _PROVIDERS[device])
        self._check_provider(device)
        self.inputs = {i.name: i.type for i in self._session.get_inputs()}
        """ONNX types of the inputs by name."""
        self.optional = {i.name: i.type for i in self._session.get_overridable_initializers()}
        """ONNX types by name of the inputs that may be left out, since the graph has values for them."""
        self.outputs = tuple(o.name for o in self._session.get_outputs())
        """Names of the outputs."""
        self.facts: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        """Texts by name that the file holds beside its graph."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run the graph.

        Args:
            feeds: an array per input, and for those of `optional` that get another value; float arrays are converted to
                the float type of the input.

        Returns:
            An array per output; float16 comes back as float32.

        Raises:
            ValueError: an input is missing or unknown, or the session is closed.
            MemoryError: ONNX Runtime could not allocate what the shapes need.
            GraphRunError: ONNX Runtime cannot compute the graph on these inputs.
            UserError: ONNX Runtime gives no array.
        """
        if self._session is None:
            raise ValueError(f"{self.path} was closed")
        if feeds.keys() - self.optional.keys() != self.inputs.keys():
            raise ValueError(f"{self.path} takes {sorted(self.inputs)}, got {sorted(feeds)}")
        given = {name: self._converted(name, value) for name, value in feeds.items()}
        try:
            values = self._session.run(None, given)
        except Exception as error:  # onnxruntime's exceptions share no base class
            raise self._failed(error) from error
        strange = [name for name, value in zip(self.outputs, values, strict=True) if not isinstance(value, np.ndarray)]
        if strange:
            raise UserError(f"the output {strange[0]} of {self.path} is no tensor; only tensors can be used")
        return {name: _widened(value) for name, value in zip(self.outputs, values, strict=True)}

    def end_trace(self) -> Path:
        """End the profile that `trace` asked for.

        Returns:
            The file of the profile, for `read_trace`.

        Raises:
            ValueError: no profile was asked for, the profile was ended before, or the session is closed.
        """
        if self._session is None or not self._traced:
            raise ValueError(f"{self.path} is not being traced")
        self._traced = False
        return Path(self._session.end_profiling())

    def close(self) -> None:
        """Release the session and its memory; may be called twice."""
        self._session = None

    def __enter__(self) -> OnnxGraph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_provider(self, device: str) -> None:
        assert self._session is not None
        used = self._session.get_providers()
        if _PROVIDERS[device] not in used:
            raise UserError(
                f"cannot run {self.path} on {device}: ONNX Runtime fell back to {', '.join(used)}; "
                "check the driver and CUDA libraries, or use the CPU"
            )
        left = list_cpu_work(self._session) if device != "cpu" else {}
        if left:
            nodes = ", ".join(f"{count} {operator}" for operator, count in left.items())
            raise UserError(
                f"cannot run {self.path} on {device}: {_PROVIDERS[device]} leaves {nodes} to the CPU; "
                "choose another precision, or use the CPU for all of it"
            )

    def _failed(self, error: Exception) -> Exception:
        """Turn an error of ONNX Runtime into ours."""
        words = " ".join(str(error).split())[:300] or type(error).__name__
        if isinstance(error, MemoryError) or any(word in words.lower() for word in _MEMORY_WORDS):
            return MemoryError(f"{self.path} ran out of memory: {words}")
        return GraphRunError(f"ONNX Runtime cannot compute {self.path} on this picture: {words}; export it again")

    def _converted(self, name: str, value: np.ndarray) -> np.ndarray:
        wanted = _TYPES.get(self.inputs.get(name) or self.optional[name])
        return np.ascontiguousarray(make_native(np.asarray(value)), dtype=wanted)  # ONNX Runtime has no other order


def _widened(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float32) if value.dtype == np.float16 else value


def _load_cuda() -> None:
    """Load the CUDA libraries that pip installed beside ONNX Runtime.

    The CUDA provider looks for them in the system's folders alone. Where pip installed none, nothing is loaded, and
    ONNX Runtime says so.
    """
    load = getattr(load_onnxruntime(), "preload_dlls", None)  # from 1.21 on
    if load is not None:
        with contextlib.redirect_stdout(sys.stderr):
            load()


def _read_form(path: Path, *, faster: bool) -> bytes | None:
    """Read a graph in the form that is loaded.

    It is None where that is the file as it is. A file that is no ONNX file, or whose nodes lack inputs or attributes,
    has no other form, and ONNX Runtime says what is wrong.

    Args:
        path: the .onnx file.
        faster: whether the form for processors is wanted.
    """
    try:
        content = path.read_bytes()
        lean, integer = (make_lean(content), make_integer(content)) if faster else (None, None)
        form = integer if integer is not None and has_exact_products() else lean
        return free_threshold(content if form is None else form) or form
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _session(path: Path, form: bytes | None, options: Any, provider: str) -> Any:
    ort = load_onnxruntime()
    try:
        # Without its fallback, which prints to stdout before it tries the same provider again.
        return ort.InferenceSession(form or os.fspath(path), options, providers=[provider], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no base class
        line = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        if isinstance(error, MemoryError) or any(word in line.lower() for word in _MEMORY_WORDS):
            raise MemoryError(f"{path} ran out of memory: {line}") from error
        raise UserError(f"ONNX Runtime {ort.__version__} cannot load {path}: {line}; export it again") from error
