"""NVIDIA's perf_analyzer measures both servers, and reads the server's own times."""

import os
import re
import subprocess

import pytest

PROGRAM = os.environ.get("SPAIR_PERF_ANALYZER")


@pytest.mark.skipif(PROGRAM is None, reason="perf_analyzer is not installed; SPAIR_PERF_ANALYZER names it")
@pytest.mark.parametrize("door", ["http", "grpc"])
def test_perf_analyzer_measures_the_server(target, door):
    assert PROGRAM is not None
    address = target.http_address if door == "http" else target.grpc_address
    command = [PROGRAM, "-m", target.name, "-u", address, "-i", door, "--shape", "image:1,3,24,40"]
    done = subprocess.run(
        [*command, "--request-count", "8", "--concurrency-range", "2"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    client, server = done.stdout.split("Server:")
    assert "Request count: 8" in client
    assert re.search(r"Successful request count: 8\b", server)
    assert re.search(
        r"queue \d+ usec \+ compute input \d+ usec \+ compute infer [1-9]\d* usec \+ compute output", server
    )
