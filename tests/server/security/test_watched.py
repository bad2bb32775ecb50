"""Files are read again when they change, and a bad renewal changes nothing."""

import logging
import os
from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from server.security.watched import Watched
from tests.server.conftest import FakeClock


def read_number(file: Path) -> int:
    text = file.read_text()
    if not text.isdigit():
        raise FathomError(Code.BAD_SETTING, expected="a number", got=text, repair="write one")
    return int(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "number"
    file.write_text("1")
    return file


@pytest.fixture
def watched(file: Path, clock: FakeClock) -> Watched[int]:
    return Watched([file], lambda: read_number(file), clock=clock)


def replace(file: Path, text: str) -> None:
    """As a careful writer does it: a new file, renamed over the old one."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def test_a_new_file_is_read_at_the_next_look(
    watched: Watched[int], file: Path, clock: FakeClock
) -> None:
    replace(file, "2")
    assert watched.current() == 1
    clock.advance(1.0)
    assert watched.current() == 2


def test_a_file_behind_a_link_is_followed(tmp_path: Path, clock: FakeClock) -> None:
    """How Kubernetes renews what it mounts: a link to the folder of the newest."""
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(name)
    (tmp_path / "now").symlink_to("1")
    watched = Watched(
        [tmp_path / "now" / "number"],
        lambda: read_number(tmp_path / "now" / "number"),
        clock=clock,
    )
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "now")
    clock.advance(1.0)
    assert watched.current() == 2


def test_a_bad_renewal_keeps_the_old_is_told_once_and_tried_again(
    watched: Watched[int], file: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    replace(file, "two")
    for _ in range(3):
        clock.advance(1.0)
        assert watched.current() == 1
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1 and "number" in errors[0].getMessage()
    replace(file, "2")
    clock.advance(1.0)
    assert watched.current() == 2


def test_a_file_that_is_gone_keeps_the_old(
    watched: Watched[int], file: Path, clock: FakeClock
) -> None:
    file.unlink()
    clock.advance(1.0)
    assert watched.current() == 1
    file.write_text("3")
    clock.advance(1.0)
    assert watched.current() == 3


def test_what_has_not_changed_is_not_read_again(file: Path, clock: FakeClock) -> None:
    reads: list[int] = []
    watched = Watched([file], lambda: reads.append(1), clock=clock)
    for _ in range(5):
        clock.advance(1.0)
        watched.current()
    assert len(reads) == 1
    os.utime(file, ns=(1, 1))
    clock.advance(1.0)
    watched.current()
    assert len(reads) == 2


def test_the_first_read_may_fail(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none"):
        Watched([tmp_path / "none"], lambda: read_number(tmp_path / "none"))
