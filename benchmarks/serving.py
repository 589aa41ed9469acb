"""Measure the server against the restorer and against Triton.

Run from the repository root: `python -m benchmarks.serving [--rounds 5] [--seconds 10] [--json FILE]`. All answers are
compared bit for bit with the restorer's before anything is timed. It measures three things on this machine's CPU, with
the clients on the same cores.

- Latency of one client at 1920x1080, in the process against HTTP (binary) and gRPC, with tritonclient.
- Requests per second of several clients for one served graph, `spair serve` against NVIDIA's Triton Inference Server.
- Latency at 80 % of the server's capacity. Requests start when they are meant to, so that a server that stalls is not
  spared.

Triton comes from the package nvidia-pytriton, as in the tests. That package has no backend of Triton's own for ONNX, so
a backend in Python runs ONNX Runtime in it; NVIDIA's container has one in C++, which was not measured. Without the
package the other two are measured. It exits 1 when a goal is missed, or an answer is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common.arguments import parse_count
from benchmarks.common.measuring import Goal, describe_run, show_goals, show_run, show_table, take_turns, write_json
from spair.export.served.file import write_served_graph
from spair.runtime import Restorer
from spair.runtime.errors import GateError
from spair.runtime.shipped import resolve_model
from spair.serving.repository.settings import Settings
from spair.serving.repository.write import write_repository
from spair.training.data.photos import rain_on, read_photo
from tests.serving.fuzz.mutations import make_pixels
from tests.serving.load.generator import make_http_send, run_closed, run_open
from tests.serving.process import served
from tests.serving.triton.server import running
from tests.serving.triton.setup import SetupError

MODEL = "rain"
LARGE, SMALL = (1080, 1920), (256, 320)
"""Height and width of the pictures."""
CLIENTS = (1, 2, 4)
OURS, BATCH = "spair serve", 4
"""Name of the server in tables, and the pictures that a second one computes in one go."""
SHARE = 0.8
"""Share of the capacity at which the spread of latencies is measured."""

TURNS = 3
"""Pictures of each way in a round; what a server adds is a few per cent, less than single pictures differ."""

Infer = Callable[[], np.ndarray]


def make_picture(height: int, width: int) -> np.ndarray:
    """Make a photograph in light rain.

    It is [H, W, 3] uint8 RGB.
    """
    photo = read_photo("chelsea.png")
    repeats = (-(-height // photo.shape[0]), -(-width // photo.shape[1]), 1)
    clean = np.ascontiguousarray(np.tile(photo, repeats)[:height, :width])
    return rain_on(clean, "light", seed=[3, height, width])


def to_planes(picture: np.ndarray) -> np.ndarray:
    """Bring [H, W, 3] to [1, 3, H, W]."""
    return np.ascontiguousarray(picture.transpose(2, 0, 1)[None])


def http_infer(address: str, name: str, planes: np.ndarray) -> Infer:
    """Make a call through tritonclient's HTTP client, which returns `restored`."""
    import tritonclient.http as client

    connection = client.InferenceServerClient(address, network_timeout=300, connection_timeout=300)
    asked = client.InferInput("image", list(planes.shape), "UINT8")
    asked.set_data_from_numpy(planes)
    wanted = [client.InferRequestedOutput(one) for one in ("restored", "mask", "density")]
    return lambda: np.asarray(connection.infer(name, [asked], outputs=wanted).as_numpy("restored"))


def grpc_infer(address: str, name: str, planes: np.ndarray) -> Infer:
    """Make a call through tritonclient's gRPC client, which returns `restored`."""
    import tritonclient.grpc as client

    connection = client.InferenceServerClient(address)
    asked = client.InferInput("image", list(planes.shape), "UINT8")
    asked.set_data_from_numpy(planes)
    wanted = [client.InferRequestedOutput(one) for one in ("restored", "mask", "density")]
    return lambda: np.asarray(connection.infer(name, [asked], outputs=wanted).as_numpy("restored"))


def require_same(who: str, got: np.ndarray, expected: np.ndarray) -> None:
    """Refuse an answer that is not the restorer's.

    Raises:
        GateError: another shape or another byte.
    """
    if got.shape != expected.shape or not np.array_equal(got, expected):
        raise GateError(f"{who} does not give the restorer's bytes; no times are reported")


def measure_latency(rounds: int) -> dict[str, Any]:
    """Time one picture in the process and through both doors."""
    picture = make_picture(*LARGE)
    planes = to_planes(picture)
    with served(MODEL) as server, Restorer.open(MODEL) as restorer:
        expected = to_planes(restorer(picture).image)
        doors = {
            "HTTP": http_infer(server.http, MODEL, planes),
            "gRPC": grpc_infer(server.grpc, MODEL, planes),
        }
        for name, infer in doors.items():
            require_same(name, infer(), expected)
        times = take_turns({"in process": lambda: restorer(picture), **doors}, rounds)
    base = times["in process"].median
    return {name: {**vars(one), "added": one.median / base - 1.0} for name, one in times.items()}


@contextlib.contextmanager
def run_triton(bundle: Path, folder: Path) -> Iterator[str]:
    """Start Triton on a repository of one bundle.

    Yields:
        Its HTTP address.

    Raises:
        SetupError: it cannot run here.
    """
    report = write_repository({MODEL: bundle}, folder / "repository", Settings(usual=(SMALL[1], SMALL[0])))
    (folder / "work").mkdir()
    with running(report["command"], folder / "work") as server:
        yield server.http_address


def measure_throughput(rounds: int, seconds: float) -> tuple[dict[str, dict[int, float]], str]:
    """Measure requests per second by number of clients.

    Returns:
        Medians of the rounds by server, and the reason why Triton is absent, empty if it is not.
    """
    bundle = Path(resolve_model(MODEL))
    planes = to_planes(make_picture(*SMALL))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        file = folder / f"{MODEL}.onnx"
        write_served_graph(bundle, file)
        server = stack.enter_context(served(file))
        batching = stack.enter_context(served(file, "--batch", str(BATCH)))
        addresses = {OURS: server.http, f"{OURS} --batch {BATCH}": batching.http}
        reason = ""
        try:
            addresses["Triton"] = stack.enter_context(run_triton(bundle, folder))
        except SetupError as error:
            reason = str(error)
        with Restorer.open(file) as restorer:
            expected = to_planes(restorer(make_picture(*SMALL)).image)
        wire = make_pixels(MODEL, planes).wire()
        sends = {
            who: lambda address=address: make_http_send(
                address, wire.path, dict(wire.headers), wire.body, [expected.tobytes()]
            )
            for who, address in addresses.items()
        }
        return _take_rounds(sends, rounds, seconds), reason


def _take_rounds(sends: Mapping[str, Any], rounds: int, seconds: float) -> dict[str, dict[int, float]]:
    rates: dict[str, dict[int, list[float]]] = {who: {clients: [] for clients in CLIENTS} for who in sends}
    for number in range(rounds + 1):
        for clients in CLIENTS:
            for who in sorted(sends, reverse=number % 2 == 1):
                report = run_closed(sends[who], clients=clients, seconds=seconds if number else 1.0)
                if report.problems or set(report.statuses) != {200}:
                    raise GateError(f"{who} answered {report.statuses}: {report.problems[:1]}; no rates are reported")
                if number:  # the first round only warms up
                    rates[who][clients].append(report.rate)
    return {who: {clients: statistics.median(found) for clients, found in one.items()} for who, one in rates.items()}


def measure_spread(seconds: float) -> dict[str, float]:
    """Measure the latencies at `SHARE` of the capacity."""
    picture = make_picture(*SMALL)
    wire = make_pixels(MODEL, to_planes(picture)).wire()
    with served(MODEL) as server, Restorer.open(MODEL) as restorer:
        expected = to_planes(restorer(picture).image).tobytes()

        def make_send() -> Any:
            return make_http_send(server.http, wire.path, dict(wire.headers), wire.body, [expected])

        run_closed(make_send, clients=2, seconds=2.0)
        capacity = run_closed(make_send, clients=2, seconds=seconds)
        report = run_open(make_send, rate=SHARE * capacity.rate, seconds=4 * seconds, clients=16)
    if report.problems or set(report.statuses) != {200}:
        raise GateError(f"the server answered {report.statuses}: {report.problems[:1]}; no latencies are reported")
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
    return {
        "capacity": capacity.rate,
        "requests": len(report.latencies),
        **{name: 1e3 * report.percentile(share) for name, share in shares.items()},
    }


def main() -> int:
    """Measure, print tables and goals, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=parse_count, default=5, help="rounds of each comparison")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each load")
    parser.add_argument("--json", type=Path, help="file for the report")
    arguments = parser.parse_args()
    run = describe_run(os.cpu_count() or 1)
    try:
        latency = measure_latency(TURNS * arguments.rounds)
        rates, reason = measure_throughput(arguments.rounds, arguments.seconds)
        spread = measure_spread(arguments.seconds)
    except GateError as error:
        print(f"error: {error}")
        return 1
    show_run(run, {"Triton": reason} if reason else {})
    goals = show_results(latency, rates, spread)
    show_goals(goals)
    if arguments.json:
        found = {"latency": latency, "rates": rates, "spread": spread}
        write_json(arguments.json, {"run": run, **found, "goals": [goal.to_json() for goal in goals]})
    return int(any(goal.passed is False for goal in goals))


def show_results(
    latency: Mapping[str, Any], rates: Mapping[str, Mapping[int, float]], spread: Mapping[str, float]
) -> list[Goal]:
    """Print the tables, and return the goals."""
    print(f"\nlatency of one picture of {LARGE[1]}x{LARGE[0]}, light rain")
    rows = [(who, f"{one['median']:.0f}", f"{100 * one['added']:+.1f} %") for who, one in latency.items()]
    show_table(("", "ms", "added"), rows)
    print(f"\nrequests per second, one served graph, {SMALL[1]}x{SMALL[0]}, by clients")
    show_table(("", *map(str, CLIENTS)), [(who, *(f"{one[c]:.1f}" for c in CLIENTS)) for who, one in rates.items()])
    print(f"\nlatency at {100 * SHARE:.0f} % of {spread['capacity']:.1f} requests per second")
    show_table(("p50", "p90", "p99"), [tuple(f"{spread[name]:.0f}" for name in ("p50_ms", "p90_ms", "p99_ms"))])
    ratios = [rates[OURS][c] / rates["Triton"][c] for c in CLIENTS] if "Triton" in rates else []
    return [
        Goal("HTTP against the restorer in the process", 1.10, 1.0 + latency["HTTP"]["added"], at_most=True),
        Goal("gRPC against the restorer in the process", 1.10, 1.0 + latency["gRPC"]["added"], at_most=True),
        Goal("requests per second against Triton, the worst", 1.0, min(ratios, default=None)),
        Goal("p99 against p50 at 80 % load", 2.0, spread["p99_ms"] / spread["p50_ms"], at_most=True),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
