from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from fathom.session.credentials import Credentials, read_token


def test_a_token_goes_with_every_call_and_is_not_shown() -> None:
    credentials = Credentials(token="a-token")  # noqa: S106 - of this test
    assert credentials.metadata == (("authorization", "Bearer a-token"),)
    assert "a-token" not in repr(credentials)
    assert Credentials().metadata == ()


def test_a_channel_is_secure_where_tls_or_a_file_of_it_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("anything: it is read when somebody connects")
    assert Credentials().channel_credentials() is None
    assert Credentials(tls=True).channel_credentials() is not None
    assert Credentials(ca=ca).channel_credentials() is not None


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FathomError) as caught:
        Credentials(cert=tmp_path / "a.pem")
    assert caught.value.code is Code.BAD_OPTION


def test_a_file_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(FathomError) as caught:
        Credentials(ca=tmp_path / "none.pem").channel_credentials()
    assert "none.pem" in caught.value.got


def test_a_token_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a-token\n")
    assert read_token(file) == "a-token"


@pytest.mark.parametrize("content", [b"", b"two\nlines", b"\xff\xfe", b"a\x00b"])
def test_a_file_of_no_token_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(FathomError) as caught:
        read_token(file)
    assert caught.value.code is Code.BAD_OPTION
