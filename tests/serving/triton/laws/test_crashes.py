"""A crash of the real Triton costs no test."""

from urllib.request import urlopen

import pytest

from tests.patience import PATIENCE


@pytest.mark.filterwarnings("ignore:.*is run again.*tritonserver ended with -9")
def test_the_server_is_started_again_after_a_crash(triton_server, tmp_path):
    server, mark = triton_server.running, tmp_path / "crashed"
    if not mark.exists():
        mark.touch()
        server.process.kill()
        server.process.wait()
    with urlopen(f"http://{server.http_address}/v2/health/ready", timeout=PATIENCE) as reply:
        assert reply.status == 200


def test_a_server_that_runs_is_left_alone(triton_server):
    server = triton_server.running
    process = server.process
    assert server.start_again() is None
    assert server.process is process and process.poll() is None
