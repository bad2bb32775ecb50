"""Messages of the WebSocket door: JSON headers of `depth.proto`, with bytes behind them.

Knows no socket and no stream. The form is described in `websocket.py`.
"""

import json
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message

from fathom.errors import Code, FathomError
from fathom.values import EncodedDepth, Failed, ServerAnswer
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import answer_to_wire, failed_to_wire

_M = TypeVar("_M", bound=Message)

LENGTH_BYTES = 4
# Generous for names and numbers; what is longer is no header.
HEADER_BYTES = 64 * 2**10
_DEPTH_STARTS_AT = 8
_FINISH: dict[str, Any] = {"finish": {}}
_SHOWN = 80  # of what was not understood


def read_open(message: str | bytes) -> pb.Open:
    """The client's first message; raises BAD_SEQUENCE, BAD_REQUEST."""
    expected = '{"open": {...}} as the first message, as text'
    if isinstance(message, bytes):
        raise bad_sequence(expected, "a binary message")
    fields = _object(message)
    if not isinstance(fields.get("open"), dict):
        raise bad_sequence(expected, repr(message[:_SHOWN]))
    return _parse(fields, pb.StreamRequest()).open


def read_frame(message: str | bytes) -> pb.Frame | None:
    """A later message of the client: a frame, or None for `finish`.

    raises  BAD_SEQUENCE, BAD_REQUEST
    """
    if isinstance(message, str):
        if _object(message) != _FINISH:
            expected = f"a frame, as binary, or {json.dumps(_FINISH)}"
            raise bad_sequence(expected, repr(message[:_SHOWN]))
        return None
    header_bytes = int.from_bytes(message[:LENGTH_BYTES], "little")
    starts_at = LENGTH_BYTES + header_bytes
    if len(message) < LENGTH_BYTES or starts_at > len(message) or header_bytes > HEADER_BYTES:
        raise _bad_request(
            f"{LENGTH_BYTES} bytes of length, a header of at most {HEADER_BYTES}, the image",
            f"{len(message)} bytes that announce a header of {header_bytes}",
        )
    frame = _parse(_object(message[LENGTH_BYTES:starts_at]), pb.Frame())
    if frame.image.data:
        raise _bad_request("the image behind the header", "image.data inside it")
    frame.image.data = message[starts_at:]
    return frame


def write_answer(answer: ServerAnswer) -> bytes:
    """An answer, its depth and its labels as one binary message."""
    depth = labels = b""
    if isinstance(answer, EncodedDepth):
        depth, labels = answer.data, answer.labels
        answer = replace(answer, data=b"", labels=b"")
    reply = pb.StreamReply()
    answer_to_wire(answer, reply.answer)
    fields = _fields(reply)
    header = _json(fields | {"depth_bytes": len(depth), "labels_bytes": len(labels)}).encode()
    header += b" " * (-(LENGTH_BYTES + len(header)) % _DEPTH_STARTS_AT)
    return b"".join((len(header).to_bytes(LENGTH_BYTES, "little"), header, depth, labels))


def write_reply(reply: pb.StreamReply) -> str:
    """`opened` or `closing` as text."""
    return _json(_fields(reply))


def write_failed(error: FathomError) -> str:
    """Why a socket is closed, as text."""
    return _json({"failed": _fields(failed_to_wire(Failed.from_error(0, error)))})


def bad_sequence(expected: str, got: str) -> FathomError:
    """What came is none of what may come now."""
    repair = "send open once, then frames, then finish"
    return FathomError(Code.BAD_SEQUENCE, expected=expected, got=got, repair=repair)


def _fields(message: Message) -> dict[str, Any]:  # JSON's own shape
    return MessageToDict(message, preserving_proto_field_name=True)


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, or not JSON
        raise _bad_request("a JSON object", repr(text[:_SHOWN])) from error
    if not isinstance(fields, dict):
        raise _bad_request("a JSON object", repr(text[:_SHOWN]))
    return fields


def _parse(fields: dict[str, Any], message: _M) -> _M:
    try:
        return ParseDict(fields, message)
    except (ParseError, OverflowError) as error:  # OverflowError: Infinity for a name
        expected = f"a {message.DESCRIPTOR.name} of depth.proto as JSON"
        raise _bad_request(expected, str(error)[:300]) from error


def _bad_request(expected: str, got: str) -> FathomError:
    repair = "see what /docs says of WS /stream"
    return FathomError(Code.BAD_REQUEST, expected=expected, got=got, repair=repair)
