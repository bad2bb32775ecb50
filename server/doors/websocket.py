"""The WebSocket door, `WS /stream`: the stream of `depth.proto` for browsers and scripts.

What gRPC's `Stream` says, said here: every header is the proto3 JSON form of the message of that
name, with the field names of `depth.proto` (64-bit numbers may come as strings, fields at their
default are left out). A *framed* message is binary: a `uint32`, little endian, the length of its
JSON header, the header in UTF-8, then bytes as they are.

- The client first says `{"open": {...Open...}}` as text; the server answers `{"opened": {...}}`.
- Then frames, framed: the header is a `Frame` without `image.data`, the bytes are the image.
- Each gets one answer, in order, framed: `{"answer": {...}, "depth_bytes": n, "labels_bytes": m}`,
  then the depth, then the labels. Spaces end the header so that the depth starts at a multiple of
  8 bytes and can be viewed in place.
- The client ends with `{"finish": {}}`; what is owed still comes. The server's last word is
  `{"closing": {...Closing...}}`, with the reason where the stream ended early, then close 1000.
- A stream that cannot open, or a reader that takes nothing, hears `{"failed": {...Failed...}}`,
  then close 1008 (do not repeat), 1013 (try again later) or 1011 (a bug of the server).

Knows messages, no frame's fate.
"""

import asyncio
import logging
from contextlib import suppress
from typing import NoReturn

from starlette.websockets import WebSocket, WebSocketDisconnect

from fathom.errors import Code, FathomError
from fathom.values import Frame
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import (
    closing_to_wire,
    image_from_wire,
    open_from_wire,
    opened_to_wire,
)
from fathom.wire.numbers import to_s
from server.doors.framing import (
    HEADER_BYTES,
    LENGTH_BYTES,
    bad_sequence,
    read_frame,
    read_open,
    write_answer,
    write_failed,
    write_reply,
)
from server.doors.patience import Patience
from server.security.address import client_of
from server.service import Service, closing
from server.streams import Stream

_log = logging.getLogger("fathom.server.websocket")

DESCRIPTION = __doc__ or ""
# A page opens at once; whoever connects and says nothing does not hold a socket for ever.
_OPEN_WITHIN_S = 10.0
# For telling a reader why it is cut, which is most often one that does not read.
_LAST_WORD_S = 1.0

_POLICY_VIOLATION, _INTERNAL_ERROR, _TRY_AGAIN_LATER = 1008, 1011, 1013  # RFC 6455 section 7.4.1


class WebSocketDoor:
    """The conversation of one socket after another over the given service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def serve(self, socket: WebSocket) -> None:
        """One socket's life; every error leaves as its row of the error table."""
        try:
            await socket.accept()
            await self._converse(socket)
        except WebSocketDisconnect:
            pass  # the client left; its stream is closed by now
        except FathomError as error:
            await _fail(socket, error)
        except Exception:  # noqa: BLE001
            # The one catch-all of this door: a bug answers INTERNAL, without its insides.
            _log.exception("websocket.handler failed")
            await _fail(socket, FathomError.internal())

    async def _converse(self, socket: WebSocket) -> None:
        opening = open_from_wire(await _read_open(socket))
        client = client_of(socket.client.host if socket.client else "")
        async with self._service.stream(opening, client=client) as stream:
            reader = asyncio.create_task(_read_frames(socket, stream, self._service))
            writer = asyncio.create_task(self._write_answers(socket, stream))
            try:
                await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
                # The reader ends by an exception alone: the client left.
                await (writer if writer.done() else reader)
            finally:
                reader.cancel()
                writer.cancel()
                await asyncio.gather(reader, writer, return_exceptions=True)
                del reader, writer  # what they raised holds this frame, and so the stream
        with suppress(RuntimeError):  # the transport has closed it
            await socket.close()

    async def _write_answers(self, socket: WebSocket, stream: Stream) -> None:
        patience = Patience(self._service.slow_reader_s)
        try:
            opened = pb.StreamReply(opened=opened_to_wire(self._service.opened(stream)))
            await _send(socket, write_reply(opened), patience)
            async for answer in stream.answers():
                await _send(socket, write_answer(answer), patience)
            last = pb.StreamReply(closing=closing_to_wire(closing(stream)))
            await _send(socket, write_reply(last), patience)
        except TimeoutError:
            raise self._service.slow_reader() from None
        finally:
            patience.close()


async def _send(socket: WebSocket, message: bytes | str, patience: Patience) -> None:
    try:
        with patience:
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)
    except RuntimeError as error:
        # How a send is refused once the server itself has closed: a message past every limit,
        # a ping without an answer. The reader hears of it in a moment.
        raise WebSocketDisconnect from error


def message_bytes(service: Service) -> int:
    """The largest message worth buffering; the transport closes with 1009 on a larger one."""
    return service.limits.image_bytes + HEADER_BYTES + LENGTH_BYTES


async def _read_open(socket: WebSocket) -> pb.Open:
    try:
        async with asyncio.timeout(_OPEN_WITHIN_S):
            return read_open(await _receive(socket))
    except TimeoutError:
        raise bad_sequence(f"open within {_OPEN_WITHIN_S:g} s", "nothing") from None


async def _read_frames(socket: WebSocket, stream: Stream, service: Service) -> NoReturn:
    """Move frames from the socket into the stream until it ends; then watch for the client's leave.

    raises  WebSocketDisconnect
    """
    patience = Patience(service.entry.idle_stream_s)
    try:
        while not stream.ended:
            await stream.room()
            try:
                with patience:
                    message = await _receive(socket)
                if not stream.ended:
                    _take_in(stream, message)
            except TimeoutError:
                stream.end(service.idle())
            except FathomError as error:
                stream.end(error)
    finally:
        patience.close()
    while True:
        await _receive(socket)  # said after the end: the counts of Closing tell what was received


def _take_in(stream: Stream, message: str | bytes) -> None:
    frame = read_frame(message)
    if frame is None:
        stream.end()
        return
    try:
        image = image_from_wire(frame.image)
    except FathomError as error:
        stream.refuse(frame.seq, error)
        return
    stream.offer(
        Frame(
            seq=frame.seq,
            image=image,
            age_s=to_s(frame.age_us),
            deadline_s=to_s(frame.deadline_us) or None,
        )
    )


async def _receive(socket: WebSocket) -> str | bytes:
    """The next message, whichever kind; raises WebSocketDisconnect."""
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code") or 1005)
    text: str | None = event.get("text")
    data: bytes | None = event.get("bytes")
    return data or b"" if text is None else text


async def _fail(socket: WebSocket, error: FathomError) -> None:
    """Say why and close, if the client is there to hear it."""
    code = _TRY_AGAIN_LATER if error.status.retry else _POLICY_VIOLATION
    if error.code is Code.INTERNAL:
        code = _INTERNAL_ERROR
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
        async with asyncio.timeout(_LAST_WORD_S):
            await socket.send_text(write_failed(error))
            await socket.close(code, error.code)
