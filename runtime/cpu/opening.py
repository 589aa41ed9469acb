"""Opening of a bundle on the kernels of the processor."""

from __future__ import annotations

from typing import Any

from ..bundle.precision import AUTO, choose_rows
from ..bundle.reader import DERIVED_FROM, PLAIN, Bundle
from ..errors import UserError
from ..machine.processor import count_cores
from ..tiling.planning import PathChoice
from ..tiling.spec import ForeignNetwork, SpairNetwork
from ..tuning import load_tuning
from .comparison import Comparison, RowProgramError
from .library import Library, load_library
from .localization import Localizer
from .network import CpuNetwork
from .program import RowProgram, read_program
from .restoration import RowRestorer

BACKEND = "cpu"
"""Name of the backend."""


def open_cpu_network(
    bundle: Bundle,
    precision: str,
    *,
    threads: int | None = None,
    path: PathChoice = "auto",
    instructions: str | None = None,
) -> CpuNetwork:
    """Open the row program of a bundle.

    It is compared with the bundle's graphs on one small tile, once for each set of kernels.

    Args:
        bundle: the bundle; the hashes of the program and the graphs are checked.
        precision: a precision that the bundle has a row program of, or one that is derived from such a program, see
            `DERIVED_FROM`; "auto" is what a calibration found fastest on this machine.
        threads: number of threads that compute; None takes all cores.
        path: "auto" or "packed", which are the same here.
        instructions: instruction set of the kernels; None takes the best one that runs on this processor.

    Raises:
        RowProgramError: the program differs from the graphs, or its parts do not fit together.
        UserError: the kernels cannot be compiled or loaded; the network or bundle has no row program of this precision;
            the path is "dense"; a file was changed.
    """
    spec = bundle.manifest.network
    check_choice(bundle, PLAIN if precision == AUTO else DERIVED_FROM.get(precision, precision), path)
    assert isinstance(spec, SpairNetwork)
    library = load_library(instructions)
    precision = choose_rows(bundle, threads) if precision == AUTO else precision
    stored, halves = DERIVED_FROM.get(precision, precision), precision in DERIVED_FROM
    # Every graph of the precision is hashed, unused ones too, so that a damaged bundle is always refused.
    every = dict.fromkeys(("net_l", "net_r", *bundle.manifest.graphs.get(stored, ())))
    graphs = {part: bundle.graph(stored, part) for part in every}
    program = read_rows(bundle, precision)
    pool = library.open_pool(count_cores() if threads is None else threads)
    try:
        localizer = Localizer(library, program, halves=halves)
        restorer = RowRestorer(library, program, halves=halves)
        comparison = Comparison(spec, localizer, restorer, pool, precision)
        comparison.check_once(graphs["net_l"], graphs["net_r"], list_facts(bundle, precision, library))
        network = CpuNetwork(spec, localizer, restorer, library, pool, precision)
    except BaseException as error:
        pool.close()
        if isinstance(error, (ValueError, KeyError, StopIteration)) and not isinstance(error, UserError):
            raise _misfit(bundle, error) from error
        raise
    network.tuning = load_tuning(bundle, precision, threads, backend=BACKEND) or network.tuning
    return network


def list_facts(bundle: Bundle, precision: str, library: Library) -> dict[str, Any]:
    """List all that a comparison depends on.

    Args:
        bundle: the bundle.
        precision: a precision that has a program, or one that is derived from it.
        library: the kernels.

    Returns:
        JSON values.
    """
    stored, status = DERIVED_FROM.get(precision, precision), library.path.stat()
    return {
        "precision": precision,
        "graphs": [bundle.graph_digest(stored, part) for part in ("net_l", "net_r")],
        "rows": [bundle.manifest.files[name] for _, name in sorted(bundle.manifest.rows[stored].items())],
        "kernels": [str(library.path), status.st_size, status.st_mtime_ns, library.instructions.name],
    }


def read_rows(bundle: Bundle, precision: str) -> RowProgram:
    """Read the row program of a precision.

    Args:
        bundle: the bundle; the hashes of the files are checked.
        precision: a precision that has a program, or one that is derived from it.

    Raises:
        UserError: the files were changed, or are no program.
    """
    files = bundle.manifest.rows[DERIVED_FROM.get(precision, precision)]
    return read_program(bundle.file(files["program"]), bundle.file(files["arrays"]))


def find_obstacle(bundle: Bundle, precision: str, path: PathChoice) -> str | None:
    """Say why the kernels cannot run a bundle, or None.

    It is a part of a sentence.

    Args:
        bundle: the bundle.
        precision: a precision, not "auto".
        path: path of the pieces.
    """
    rows = bundle.manifest.rows
    if isinstance(bundle.manifest.network, ForeignNetwork):
        return f"the backend cpu computes distorted pixels only, and the network of {bundle.path} finds none"
    if path == "dense":
        return "the tile path is dense, and the backend cpu computes rows only"
    if not rows:
        return (
            f"the bundle {bundle.path} has no row program for the backend cpu: it was exported by an older version, or "
            "its network changes clean pixels"
        )
    if precision not in rows or not {"program", "arrays"} <= rows[precision].keys():
        return f"the bundle {bundle.path} has no row program in {precision}, but in {', '.join(rows)}"
    return None


def check_choice(bundle: Bundle, precision: str, path: PathChoice) -> None:
    """Refuse what the kernels cannot run.

    Raises:
        UserError: see `find_obstacle`; the message says how to go on.
    """
    obstacle = find_obstacle(bundle, precision, path)
    if obstacle is not None:
        raise UserError(f"{obstacle}; {_say_remedy(bundle, path)}")


def _say_remedy(bundle: Bundle, path: PathChoice) -> str:
    if isinstance(bundle.manifest.network, ForeignNetwork):
        return "use --backend onnxruntime"
    if path == "dense":
        return "leave it at auto"
    if not bundle.manifest.rows:
        return "export it again, or use --backend onnxruntime"
    return "choose one of these, or use --backend onnxruntime"


def _misfit(bundle: Bundle, error: Exception) -> RowProgramError:
    return RowProgramError(f"the row program of {bundle.path} does not fit together: {error}; export the bundle again")
