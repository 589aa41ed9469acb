"""Sentences about engines say how they were measured, and no more."""

import io

import pytest
from rich.console import Console

from spair.cli.profile.engine_tables import (
    conclude_engines,
    describe_clocks,
    describe_engine_crossover,
    describe_ms,
    describe_runs,
    show_engine_profile,
)

NOTHING = {"source": None, "graphics_mhz": None, "memory_mhz": None, "most_graphics_mhz": None,
           "most_memory_mhz": None, "temperature_c": None}  # fmt: skip


def summary(ms):
    return dict.fromkeys(("min", "max", "mean", "median", "p90", "p95", "p99"), ms)


def times(ms):
    return {"p50": ms, "p90": ms, "p99": ms}


def make_engine_report(text="x", refused=None, crossover=None, detailed=True):
    """A report with an entry in every list."""
    keys = {"precision": "fp16", "threads": None}
    rate = {"runs": 12, "warm_up_runs": 5, "seconds": 3.0, "per_second": 250.0}
    plain = {f"{key}_ms": summary(ms) for key, ms in
             (("h2d", 0.5), ("compute", 4.0), ("d2h", 0.25), ("latency", 4.75), ("enqueue", 0.125))}  # fmt: skip
    plain |= {**rate, "variation": 0.5, "warnings": [f"beware {text}"]}
    graph = {
        "refused": refused,
        **({} if refused else {"latency_ms": summary(4.5), "enqueue_ms": summary(0.01), **rate}),
    }
    together = {"slots": 2, "pictures": 700, "seconds": 2.0, "per_second": 350.0}
    points = [
        {
            "density": density,
            "compute_ms": alone,
            "latency_ms": alone,
            "engine_ms": times(10.0),
            "cpu_ms": times(cpu),
            "pieces": 1,
        }
        for density, alone, cpu in ((0.0, None, 5.0), (1.0, summary(20.0), 40.0))
    ]
    layer = {
        "name": text,
        "type": text if detailed else None,
        "ms": 1.5,
        "median_ms": 1.5,
        "total_ms": 15.0,
        "share": 0.5,
    }
    engine = {**keys, "file": text, "target": "local", "package": "tensorrt", "tensorrt": "10.3.0", "gpu": text,
              "transfers": True, "wait": "blocking", "slots": 2, "clocks": {"before": NOTHING, "after": NOTHING},
              "curves_missing": None}  # fmt: skip
    sized = {**keys, "size": [64, 48]}
    return {
        "model": f"/a/{text.replace('/', '')}", "picture": text, "files": {"times": text, "profile": None},
        "machine": {"cpu": text, "cores": 2, "memory_gb": None, "system": text, "python": text, "gpus": []},
        "power": None,
        "engine": {
            "engines": [engine],
            "latency": [{**sized, "density": 0.25, "differing_from_cpu": 0.0005, "plain": plain, "graph": graph,
                         "together": together}],
            "pictures": [{**sized, "asked": asked, "density": 0.1, "compute_ms": summary(4.0),
                          "latency_ms": summary(5.0), "runs": 12} for asked in (None, 0.2)],
            "curves": [{**sized, "mask": "blob", "points": points, "crossover_density": crossover}],
            "layers": [{**sized, "runs": 10, "ms": 3.0, "detailed": detailed, "layers": [layer] * 2}],
        },
    }  # fmt: skip


def show(report, width=80):
    stream = io.StringIO()
    show_engine_profile(report, Console(file=stream, width=width))
    return stream.getvalue()


def test_every_list_has_its_table_within_a_terminal():
    text = show(make_engine_report())
    tables = [line for line in text.splitlines() if line.startswith(("copies", "inference (", "fp16  ", "engine  "))]
    assert len(tables) == 3 + 2 + 4 and all(len(line) <= 80 for line in tables)
    for words in ("fp16 engine, 64x48, 25 % found distorted; ms", "graph: host, launch", "by the density of the mask",
                  "by the density of a given mask", "layers of the fp16 engine: 3.00 ms in all"):  # fmt: skip
        assert words in text, words


def test_the_mode_says_how_it_was_measured():
    report = make_engine_report("Orin")
    engine = report["engine"]
    rates, mode, warning = describe_runs(engine["latency"][0], engine["engines"][0])
    assert (
        rates
        == "pictures/s: one at a time 250.0 plain, 250.0 as CUDA graph; 2 slots together, from array to array: 350.0"
    )
    assert mode == (
        "mode: a CUDA graph in its own rows only; transfers included; blocking wait; 1 slot on 1 stream; "
        "tensorrt 10.3.0; Orin; 12 runs in 3.0 s after 5"
    )
    assert warning == "warning: beware Orin"


def test_a_graph_that_was_refused_has_no_rows():
    report = make_engine_report(refused="error 901")
    engine = report["engine"]
    rates, mode, _ = describe_runs(engine["latency"][0], {**engine["engines"][0], "transfers": False})
    assert "graph" not in rates and "no CUDA graph (error 901); transfers none (GPU and host share" in mode
    assert "graph: latency" not in show(report)


@pytest.mark.parametrize(
    ("crossover", "words"),
    [(0.125, "slower than the CPU above 12.5 %"), (None, "no cross-over; 4.0 x the speed of the CPU at 100 %")],
)
def test_engines_are_set_against_the_cpu(crossover, words):
    (curve,) = make_engine_report(crossover=crossover)["engine"]["curves"]
    assert describe_engine_crossover(curve) == f"fp16 engines, blob masks: {words}"


def test_what_is_missing_is_said():
    report = make_engine_report(detailed=False)
    report["engine"]["engines"][0]["curves_missing"] = "no engine of net_r"
    report["engine"]["curves"] = []
    lines = conclude_engines(report)
    assert "fp16 engine: nothing by given masks: no engine of net_r" in lines
    assert any("ProfilingVerbosity.DETAILED, so only names of layers are known" in line for line in lines)
    assert any(line.endswith("differ by more than an 8-bit step)") for line in lines), "no mask was given"
    assert "by the density of a given mask" not in show(report)
    assert not any("DETAILED" in line for line in conclude_engines(make_engine_report()))


def test_clocks_are_those_before_and_after():
    now = {"source": "nvidia-smi", "graphics_mhz": 1305.0, "memory_mhz": 1593.0, "most_graphics_mhz": 1410.0,
           "most_memory_mhz": None, "temperature_c": 41.0}  # fmt: skip
    after = {**now, "graphics_mhz": 1200.0, "temperature_c": None}
    assert describe_clocks({"before": now, "after": after}) == (
        "before 1305 MHz, memory 1593 MHz, 41 °C / after 1200 MHz, memory 1593 MHz, – °C; at most 1410 and – MHz"
    )
    driver = {**NOTHING, "source": "driver", "most_graphics_mhz": 1410.0}
    assert describe_clocks({"before": driver, "after": driver}).startswith("not known; at most 1410 MHz, memory – MHz")
    assert describe_clocks({"before": NOTHING, "after": NOTHING}).startswith("not known (neither nvidia-smi")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.012"), (9.999, "9.999"), (12.3456, "12.35"), (123.456, "123.5")]
)
def test_milliseconds_have_the_digits_that_tell(value, text):
    assert describe_ms(value) == text
