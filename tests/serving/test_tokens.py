"""Only the right token lets a request in, and a weak one starts no server."""

import pytest

from spair.runtime import UserError
from spair.serving import tokens
from spair.serving.errors import ForbiddenError, UnauthenticatedError

TOKEN = "t" * tokens.SHORTEST


def test_a_server_without_a_token_lets_everyone_in():
    free = tokens.Tokens(None)
    assert not free.are_asked
    for given in (None, "", "Bearer x", "nonsense"):
        free.check(given)


@pytest.mark.parametrize("given", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN}  "])
def test_the_right_token_lets_in(given):
    asked = tokens.Tokens(TOKEN)
    assert asked.are_asked
    asked.check(given)


@pytest.mark.parametrize("given", [None, "", " ", "Bearer", "Bearer ", "Basic abc", TOKEN, f"Token {TOKEN}"])
def test_no_token_is_asked_for(given):
    with pytest.raises(UnauthenticatedError, match="send the header Authorization: Bearer TOKEN"):
        tokens.Tokens(TOKEN).check(given)


@pytest.mark.parametrize("given", [TOKEN[:-1], TOKEN + "t", TOKEN.upper(), "ä" * 20, "\udcff" * 20, f"{TOKEN} {TOKEN}"])
def test_a_wrong_token_is_forbidden_and_not_repeated(given):
    with pytest.raises(ForbiddenError, match="the token is not this server's; ask who runs it") as refused:
        tokens.Tokens(TOKEN).check(f"Bearer {given}")
    assert given not in str(refused.value)


def test_the_first_line_of_a_file_wins_over_the_variable(tmp_path):
    (tmp_path / "a").write_text(f"  {TOKEN}\nsecond line\n")
    assert tokens.read_token(tmp_path / "a", "v" * 40) == TOKEN
    assert tokens.read_token(None, "v" * 40) == "v" * 40


@pytest.mark.parametrize("variable", [None, ""])
def test_no_token_stays_none(variable):
    assert tokens.read_token(None, variable) is None


@pytest.mark.parametrize("text", ["short", "", "\n" + TOKEN, "with blanks in it, though long enough"])
def test_a_weak_token_is_refused_without_being_shown(tmp_path, text):
    (tmp_path / "a").write_text(text)
    with pytest.raises(UserError, match=r"the token has \d+ characters, expected at least .* openssl rand") as refused:
        tokens.read_token(tmp_path / "a", None)
    assert not text.strip() or text not in str(refused.value)


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_bytes(b"\xff")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(UserError, match=r"cannot read the token from .*a: .*; give a file of one line of text"):
        tokens.read_token(tmp_path / "a", None)
