"""What is shown of a text with secrets in it."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fathom.errors import Code, FathomError
from fathom.redact import redact


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://me:secret@camera/1", "rtsp://***@camera/1"),
        ("got rtsp://me:s@cr@t@camera/1, twice", "got rtsp://***@camera/1, twice"),
        ("triton://a:b@c:8001,d:8001", "triton://***@c:8001,d:8001"),
        ("authorization: Bearer abcdefghijklmnopqrst", "authorization: Bearer ***"),
        ("Basic YW55Ym9keTphYmNkZWZnaGlqa2w=", "Basic ***"),
        ("http://host/path?x=1", "http://host/path?x=1"),
        ("me@home, a basic idea, bearer of news", "me@home, a basic idea, bearer of news"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text())
def test_what_is_redacted_stays_so(text: str) -> None:
    assert redact(redact(text)) == redact(text)


def test_an_error_cannot_tell_a_password() -> None:
    error = FathomError(
        Code.BAD_OPTION,
        expected="a camera at rtsp://me:secret@a",
        got="rtsp://me:secret@b",
        repair="not rtsp://me:secret@c",
    )
    for copy in (error, pickle.loads(pickle.dumps(error))):
        assert "secret" not in f"{copy} {copy!r} {vars(copy)}"
