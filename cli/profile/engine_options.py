"""Options of `spair profile --backend tensorrt`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..shared.options import MODEL, OUTPUT
from ..shared.places import check_page

if TYPE_CHECKING:
    from ...runtime.profiling.engines.profile import EngineSetting

AUTO, TENSORRT = "auto", "tensorrt"
BACKENDS = (AUTO, "cpu", "onnxruntime", TENSORRT)
"""Backends that can be profiled."""

Backend = Annotated[
    str,
    typer.Option(
        metavar="BACKEND",
        help="cpu, onnxruntime, auto (of these what restore takes), or tensorrt (engines, in the terms of trtexec).",
        rich_help_panel=MODEL,
    ),
]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="tensorrt: run engines and plugins that nobody has trusted.", rich_help_panel=MODEL
    ),
]
Spin = Annotated[
    bool,
    typer.Option("--spin", help="tensorrt: wait for the GPU with a busy core.", rich_help_panel=MODEL),
]
Nsys = Annotated[
    bool,
    typer.Option("--nsys", help="tensorrt: name pictures and slots for Nsight Systems (NVTX).", rich_help_panel=OUTPUT),
]
ExportTimes = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="tensorrt: also write each run as trtexec --exportTimes does.", rich_help_panel=OUTPUT
    ),
]
ExportProfile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="tensorrt: also write layer times as trtexec --exportProfile.", rich_help_panel=OUTPUT
    ),
]
ExportLayerInfo = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="tensorrt: also write layers as trtexec --exportLayerInfo.", rich_help_panel=OUTPUT
    ),
]


@dataclass(frozen=True)
class EngineChoice:
    """Options for engines, as they were given."""

    backend: str
    trust_code: bool = False
    spin: bool = False
    nsys: bool = False
    export_times: Path | None = None
    export_profile: Path | None = None
    export_layer_info: Path | None = None

    @property
    def wanted(self) -> bool:
        """Whether engines are profiled."""
        return self.backend == TENSORRT


def check_choice(choice: EngineChoice) -> EngineChoice:
    """Refuse options that do not go together.

    Files that could not be written are refused too.

    Returns:
        The options.

    Raises:
        UserError: the backend is unknown, an option needs the other one, or a file could not be written.
    """
    from ...runtime.errors import UserError

    if choice.backend not in BACKENDS:
        raise UserError(f"--backend is {choice.backend!r}; expected one of {', '.join(BACKENDS)}")
    files = {
        "--export-times": choice.export_times,
        "--export-profile": choice.export_profile,
        "--export-layer-info": choice.export_layer_info,
    }
    switches = {"--trust-code": choice.trust_code, "--spin": choice.spin, "--nsys": choice.nsys}
    given = [name for name, value in {**switches, **files}.items() if value]
    if given and not choice.wanted:
        raise UserError(f"{', '.join(given)} is about engines; give --backend tensorrt too, or leave it out")
    for name, file in files.items():
        check_page(file, name)
    return choice


def make_setting(choice: EngineChoice, *, layers: bool, repeat: int | None) -> EngineSetting:
    """Make the setting of engines.

    Args:
        choice: the options.
        layers: whether layers are timed.
        repeat: number of timed runs; None takes the limits of trtexec.

    Raises:
        UserError: `--nsys` was given, and NVTX is not installed.
    """
    from ...runtime.cuda.ranges import open_ranges
    from ...runtime.engine.slot import SlotOptions
    from ...runtime.profiling.engines.exports import Exports
    from ...runtime.profiling.engines.profile import EngineSetting
    from ...runtime.profiling.engines.runs import Rounds

    slots = SlotOptions(spin=choice.spin)
    if choice.nsys:
        slots = replace(slots, annotate=open_ranges())
    rounds = {} if repeat is None else dict.fromkeys(("rounds", "brief"), Rounds.exactly(repeat))
    return EngineSetting(
        trust_code=choice.trust_code,
        layers=layers,
        slots=slots,
        exports=Exports(choice.export_times, choice.export_profile, choice.export_layer_info),
        **rounds,
    )
