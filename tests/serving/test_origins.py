"""Without a token, a server answers programs and its own page, and no page of anybody else."""

import pytest

from spair.serving.errors import ForbiddenError
from spair.serving.origins import Origins


@pytest.mark.parametrize(
    "hosts",
    [[], [""], ["127.0.0.1:8000"], ["localhost:8000"], ["LocalHost"], ["localhost.:1"], ["a.localhost"], ["[::1]:8000"],
     ["127.8.9.1"]],
)  # fmt: skip
def test_programs_on_this_machine_are_let_in(hosts):
    Origins().check(hosts, [])


@pytest.mark.parametrize(
    "host",
    ["evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0:8000", "192.168.0.1", "[::]",
     "[zz", "127.0.0.1@evil.example", "evil.example\\@127.0.0.1x", "\xff"],
)  # fmt: skip
def test_a_name_that_was_bent_to_this_machine_is_refused(host):
    with pytest.raises(ForbiddenError, match="answers requests for 127.0.0.1 and localhost only"):
        Origins().check([host], [])
    with pytest.raises(ForbiddenError):
        Origins().check(["127.0.0.1", host], [])
    with pytest.raises(ForbiddenError):
        Origins().check([host], [f"http://{host}"])


def test_the_servers_own_name_is_let_in():
    Origins("MyBox").check(["mybox:8000"], ["http://mybox:8000"])
    Origins("::1").check(["[::1]:8000"], [])


def test_the_servers_own_page_is_let_in():
    Origins().check(["127.0.0.1:8000"], ["http://127.0.0.1:8000"])
    Origins().check(["localhost"], ["https://LOCALHOST"])


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://127.0.0.1:3000", "http://localhost:8000", "null", "", "file://"]
)
def test_pages_of_other_origins_are_refused(origin):
    with pytest.raises(ForbiddenError, match="its own page only; start the server with --token-file"):
        Origins().check(["127.0.0.1:8000"], [origin])
    with pytest.raises(ForbiddenError):
        Origins().check([], [origin])
    with pytest.raises(ForbiddenError):
        Origins().check([""], [origin])
