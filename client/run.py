"""One run, from the source to the summary: a thread sends, this one takes the answers."""

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import NoReturn

from tqdm import tqdm

from client.connection import Connect, Conversation
from client.interrupts import interrupts
from client.outputs import Outputs, status_of
from client.sender import Sender
from client.settings import Settings
from client.sources.choose import open_source
from client.sources.source import Source, SourceInfo
from client.summary import Accounts, Summary
from fathom.errors import Code, FathomError
from fathom.session.reconnect import Reconnect, ending
from fathom.session.sync import Client
from fathom.values import Closing, OpenStream, Policy

# Live: one frame on its way, one waiting in the stream's slot on the server, one computed. With
# fewer the server waits for the network; more would only be superseded there, and use up uplink.
_LIVE_WINDOW = 3
# A recording has no newest frame: enough to fill a batch, bounded so that memory is.
_RECORDED_WINDOW = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run leaves: its summary, and the error that ended it early, if one did."""

    summary: Summary
    error: FathomError | None

    @property
    def good(self) -> bool:
        return self.error is None and self.summary.good


def run(settings: Settings, *, connect: Connect = Client) -> Outcome:
    """Send the source, take every answer, keep what was asked for.

    raises  what keeps it from starting: no such source, no server, a refused stream
    """
    played = settings.policy not in {None, Policy.ALL}
    source = open_source(settings.source, fps=settings.fps, played=played)
    info = source.info
    with (
        closing(source),
        closing(Outputs(settings, title=info.name, fps=info.fps)) as outputs,
        connect(settings.server, settings.credentials) as connection,
    ):
        connection.describe()  # waits for a server that is still starting
        accounts = Accounts()
        wanted = info.live if settings.reconnect is None else settings.reconnect
        stream = connection.stream(
            _opening(settings, live=info.live),
            reconnect=Reconnect() if wanted else None,
            reconnected=accounts.note_gap,
        )
        with closing(stream):
            return _converse(settings, source, stream, accounts, outputs)


def _opening(settings: Settings, *, live: bool) -> OpenStream:
    return OpenStream(
        model=settings.model,
        policy=settings.policy or (Policy.LATEST if live else Policy.ALL),
        every_n=settings.every_n,
        options=settings.options,
    )


def _converse(
    settings: Settings,
    source: Source,
    stream: Conversation,
    accounts: Accounts,
    outputs: Outputs,
) -> Outcome:
    default_slots = _LIVE_WINDOW if source.info.live else _RECORDED_WINDOW
    sender = Sender(
        source,
        stream,
        slots=settings.window or default_slots,
        quality=settings.quality,
        max_frames=settings.max_frames,
    )
    with ThreadPoolExecutor(1, "send") as pool, interrupts(sender.stop, stream.close):
        sending = pool.submit(sender.run)
        error = None
        try:
            # Closed here, so that a full disk still leaves a summary.
            with closing(outputs), _progress(settings, source.info) as bar:
                _take_answers(stream, sender, accounts, outputs, source.info, bar)
        except FathomError as broken:
            error = broken
        except OSError as broken:
            error = _unwritable(broken)
        finally:
            # Closed here, since a sender may wait for room in a stream that has ended.
            sender.stop()
            stream.close()
    summary = accounts.summary(
        source=source.info.name,
        server=settings.server,
        model=f"{stream.opened.model} {stream.opened.version}",
        sent=sender.sent,
        passed_over=source.passed_over,
    )
    return Outcome(summary, error or _ended_by(stream.closing) or _failure(sending))


def _take_answers(
    stream: Conversation,
    sender: Sender,
    accounts: Accounts,
    outputs: Outputs,
    info: SourceInfo,
    bar: "tqdm[NoReturn]",
) -> None:
    began_s: float | None = None
    for received in stream.answers():
        captured_s = sender.answered()
        began_s = captured_s if began_s is None else began_s
        place = accounts.answers
        accounts.note(received, time.monotonic())
        # A recording has its own time; a live one is shown when it was seen, gaps included.
        time_s = captured_s - began_s if info.live else place / info.fps
        status = status_of(received, fps=accounts.fps, skipped=accounts.skipped.total())
        if not outputs.take(received, time_s=time_s, status=status):
            sender.stop()
        bar.set_postfix_str(f"{status}", refresh=False)
        bar.update()


def _progress(settings: Settings, info: SourceInfo) -> "tqdm[NoReturn]":
    bounds = [n for n in (info.frames, settings.max_frames) if n is not None]
    # disable=None: no bar where stderr is a file.
    return tqdm(
        total=min(bounds, default=None), unit=" frames", file=sys.stderr, leave=False, disable=None
    )


def _unwritable(error: OSError) -> FathomError:
    return FathomError(
        Code.BAD_OPTION,
        expected="room and permission for what is to be kept",
        got=str(error),
        repair="save to another place",
    )


def _ended_by(closing_: Closing | None) -> FathomError | None:
    """The server's reason for ending a stream before its sender did."""
    return None if closing_ is None else ending(closing_)


def _failure(sending: Future[None]) -> FathomError | None:
    """What ended the sending thread: an error to report; anything else is a bug and raised."""
    try:
        sending.result()
    except FathomError as error:
        return error
    return None
