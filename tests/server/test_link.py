"""A supervisor's and a worker's words arrive whole, and each finds out when the other is gone."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.link import Assignment, Link, Word
from server.settings import Settings, load


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Link]]:
    """The supervisor's end, and the worker's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, Link(theirs)


def assignment(*flags: str) -> Assignment:
    return Assignment(worker=3, settings=load(flags, {})[0], counts=Path("/somewhere"))


def test_an_assignment_arrives_as_it_was_sent(pair: tuple[socket.socket, Link]) -> None:
    supervisor, worker = pair
    sent = assignment("--workers=4", "--http-port=1", "--engine=triton://a:1,b:2", "--tls-cert=c")
    supervisor.sendall(sent.to_line())
    assert worker.assignment() == sent


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_s_default_survives_the_way(name: str) -> None:
    arrived = Assignment.from_line(assignment().to_line())
    assert getattr(arrived.settings, name) == Settings.model_fields[name].default


def test_words_arrive_a_line_each(pair: tuple[socket.socket, Link]) -> None:
    supervisor, worker = pair
    worker.say(Word.READY)
    worker.say(Word.RELOAD)
    assert supervisor.recv(100) == b"ready\nreload\n"


def test_a_supervisor_that_is_gone_is_noticed_and_no_word_to_it_hurts(
    pair: tuple[socket.socket, Link],
) -> None:
    supervisor, worker = pair
    assert not worker.ended
    supervisor.close()
    assert worker.ended
    worker.say(Word.READY)


def test_half_an_assignment_is_none(pair: tuple[socket.socket, Link]) -> None:
    supervisor, worker = pair
    supervisor.sendall(assignment().to_line()[:-5])
    supervisor.close()
    with pytest.raises(EOFError):
        worker.assignment()
