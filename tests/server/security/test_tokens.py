"""Which file is one of tokens, which header holds one, and what is kept of them."""

import base64
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.errors import Code, FathomError
from server.security.tokens import Tokens, presented_token, read_tokens

TOKENS = ["first-token-of-the-file", "second-token-of-the-file"]


def test_a_file_holds_a_token_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# for the yard\n{TOKENS[0]}\n\n  {TOKENS[1]}  \n")
    tokens = read_tokens(file)
    assert all(map(tokens.holds, TOKENS))
    assert not tokens.holds("# for the yard") and not tokens.holds("")


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "none"),
        (b"# only this\n", "none"),
        (b"short\n", "5 characters"),
        ("t\u00f6ken-of-enough-characters".encode(), "ASCII"),
    ],
)
def test_a_file_that_would_let_the_wrong_in_is_refused(
    tmp_path: Path, content: bytes, got: str
) -> None:
    file = tmp_path / "tokens"
    file.write_bytes(content)
    with pytest.raises(FathomError) as caught:
        read_tokens(file)
    assert caught.value.code is Code.BAD_SETTING and got in caught.value.got
    assert "short\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FathomError) as caught:
        read_tokens(tmp_path / "none")
    assert "No such file" in caught.value.got


def test_tokens_themselves_are_not_kept() -> None:
    """Whoever reads this memory has digests."""
    assert all(token.encode() not in str(vars(Tokens(TOKENS))).encode() for token in TOKENS)


def test_every_token_is_compared_whichever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of an answer tells nothing: not how many characters were right, nor which token."""
    compared: list[int] = []

    def compare(known: bytes, digest: bytes) -> bool:
        compared.append(len(digest))
        return known == digest

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = Tokens(TOKENS)
    for presented in (*TOKENS, "", "first-token-of-the-fil", "x" * 10_000):
        compared.clear()
        tokens.holds(presented)
        assert compared == [32, 32]


@given(st.text(max_size=40))
def test_nothing_but_a_token_is_held(text: str) -> None:
    assert Tokens(TOKENS).holds(text) == (text in TOKENS)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer   abc ", "abc"),
        (basic("camera:abc"), "abc"),
        (basic(":a:b"), "a:b"),
        ("Digest abc", ""),
        ("abc", ""),
        ("Bearer", ""),
        ("", ""),
        ("Basic abc", ""),
        ("Basic %%%", ""),
        ("Basic /w==", ""),
        (basic("abc"), ""),
    ],
)
def test_a_header_holds_a_token(header: str, token: str) -> None:
    assert presented_token(header) == token


@given(st.text())
def test_any_header_at_all_is_read(header: str) -> None:
    presented_token(header)
    presented_token(f"Basic {header}")
