"""The load balancer hides replicas that die, start, end or are busy."""

import re
import subprocess

import pytest

from tests.patience import wait_until
from tests.serving.deploy.balancer import CONFIGURATION, ask, balanced, find_haproxy, stand_ins

__all__ = ["stand_ins"]  # a fixture
BODY = bytes(range(256)) * 600
"""Ten times the buffer that HAProxy has unless told otherwise."""
SMALL_BUFFERS = r"tune\.bufsize \d+"


def send(balancer, body=BODY):
    return ask(balancer.http, "POST", "/v2/models/rain/infer", body)


def test_the_file_is_valid_as_it_is():
    done = subprocess.run([find_haproxy(), "-c", "-f", str(CONFIGURATION)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "[WARNING]" not in done.stderr and "[ALERT]" not in done.stderr, done.stderr


def test_both_backends_list_the_same_replicas():
    text = CONFIGURATION.read_text(encoding="utf-8")
    names = [re.findall(r"^    server (\w+) ", part, re.MULTILINE) for part in text.split("\nbackend ")[1:]]
    assert names == [["first", "second"]] * 2


def test_a_request_goes_to_either_replica_as_it_is(stand_ins, tmp_path):
    with balanced(tmp_path, [one.address for one in stand_ins]) as balancer:
        for number in range(6):
            body = bytes([number]) * (1 + 70_000 * number)
            assert send(balancer, body) == (200, body[::-1])
    assert all(one.requests for one in stand_ins)


@pytest.mark.parametrize("behaviour", ["die", "busy"])
def test_a_request_whose_replica_dies_or_is_busy_is_answered_by_the_other(stand_ins, tmp_path, behaviour):
    stand_ins[0].behaviour = behaviour
    with balanced(tmp_path, [one.address for one in stand_ins]) as balancer:
        answers = [send(balancer) for _ in range(4)]
    assert answers == [(200, BODY[::-1])] * 4
    assert stand_ins[0].requests and set(stand_ins[0].requests) == {BODY}, "it had some, whole"


def test_small_buffers_would_lose_pictures_of_a_replica_that_dies(stand_ins, tmp_path):
    """Without the size of the buffers in the file, requests as large as pictures are not sent again."""
    stand_ins[0].behaviour = "die"
    change = lambda text: re.sub(SMALL_BUFFERS, "", text)  # noqa: E731
    with balanced(tmp_path, [one.address for one in stand_ins], change=change) as balancer:
        assert {send(balancer)[0] for _ in range(4)} == {200, 502}


def test_when_all_are_busy_the_client_is_told(stand_ins, tmp_path):
    for one in stand_ins:
        one.behaviour = "busy"
    with balanced(tmp_path, [one.address for one in stand_ins]) as balancer:
        assert send(balancer) == (503, b"busy")
    tried = [len(one.requests) for one in stand_ins]
    assert min(tried) >= 1 and sum(tried) <= 4, "each was asked, and the retries end"


def test_a_slow_request_is_not_sent_to_the_other_as_well(stand_ins, tmp_path):
    for one in stand_ins:
        one.behaviour = "silent"
    change = lambda text: text.replace("timeout server 75s", "timeout server 300ms")  # noqa: E731
    with balanced(tmp_path, [one.address for one in stand_ins], change=change) as balancer:
        assert send(balancer)[0] == 504
        wait_until(lambda: any(one.requests for one in stand_ins), "one has read the request")
    assert sum(len(one.requests) for one in stand_ins) == 1


def test_a_replica_that_is_not_ready_gets_nothing(stand_ins, tmp_path):
    stand_ins[0].is_ready = False
    with balanced(tmp_path, [one.address for one in stand_ins]) as balancer:
        wait_until(lambda: not balancer.is_up("http_replicas", "first"), "the check has seen it")
        before = len(stand_ins[0].requests)
        assert [send(balancer)[0] for _ in range(4)] == [200] * 4
        assert len(stand_ins[0].requests) == before
        stand_ins[0].is_ready = True
        wait_until(lambda: balancer.is_up("http_replicas", "first"), "it is back")
        assert {send(balancer)[0] for _ in range(4)} == {200}
        assert len(stand_ins[0].requests) > before


def test_the_state_is_for_prometheus_and_other_balancers(stand_ins, tmp_path):
    with balanced(tmp_path, [one.address for one in stand_ins]) as balancer:
        assert ask(balancer.state, "GET", "/ready")[0] == 200
        assert balancer.is_up("http_replicas", "first") and balancer.is_up("http_replicas", "second")
        assert ask(balancer.state, "GET", "/v2/models/rain")[0] == 404
        for one in stand_ins:
            one.is_ready = False
        wait_until(lambda: ask(balancer.state, "GET", "/ready")[0] == 503, "no replica is left")
        assert send(balancer)[0] == 503
