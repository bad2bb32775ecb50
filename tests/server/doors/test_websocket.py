"""The WebSocket door over a real socket, asked by another implementation of the protocol."""

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fathom.codecs.depth import decode_depth
from fathom.errors import Code, FathomError
from fathom.values import DepthEncoding, Image, ImageEncoding
from server.doors.framing import HEADER_BYTES, read_frame, read_open
from server.engines.engine import EngineFault
from tests.server.conftest import PATIENCE_S, PICTURE, broken, jpeg, plain, ramp
from tests.server.doors.conftest import LIMITS, House
from tests.server.doors.websocket_talk import BIG, Port, Talk, call, call_bare, framed, say_bare

OPEN_ALL = {"open": {"policy": "POLICY_ALL"}}
FINISH = '{"finish": {}}'
NOTHING = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


@pytest.fixture
def port(house: House) -> Iterator[Port]:
    """Checked on the way out of every test: no stream is left."""
    port = Port(house, house.service)
    yield port
    port.wait_no_streams()
    house.engine.release()
    port.close()


@pytest.fixture
def talk(port: Port) -> Iterator[Talk]:
    with call(port) as connection:
        yield Talk(connection)


def test_a_stream_opens_answers_in_order_and_closes_with_its_counts(talk: Talk, port: Port) -> None:
    opened = talk.open({"open": {"policy": "POLICY_ALL", "stream_name": "front door"}})
    assert (opened["model"], opened["version"]) == ("ramp", 3)
    assert opened["limits"]["waiting_frames"] == LIMITS.waiting_frames
    talk.send(*range(10, 30), age_us="3000000")
    talk.say(FINISH)
    answers, closing = talk.rest()
    assert [answer.seq for answer in answers] == list(range(10, 30))
    assert {answer.outcome for answer in answers} == {"depth"}
    assert all(int(answer.fields["age_us"]) >= 3_000_000 for answer in answers)
    assert closing == {"reason": "all frames answered", "counts": {"answered": "20"}}
    port.wait_no_streams()


def test_depth_and_labels_are_as_asked_for_and_can_be_viewed_in_place(talk: Talk) -> None:
    options = {"depth_encoding": "DEPTH_ENCODING_F32_M", "labels": "LABEL_ENCODING_RAW8"}
    talk.open({"open": {"options": {**options, "hfov_deg": 90}}})
    talk.send(1)
    answer = talk.answer()
    depth = answer.fields["depth"]
    size = (depth["height"], depth["width"])
    scale = depth["camera"]["fx"] / 40
    got = decode_depth(answer.depth, DepthEncoding.F32_M, size)
    assert np.allclose(got, ramp() * scale) and depth["focal_given"]
    assert len(answer.labels) == size[0] * size[1]
    assert answer.depth_at % 8 == 0
    assert "data" not in depth and "labels" not in depth


def test_raw_pixels_need_no_file(talk: Talk, house: House) -> None:
    talk.open()
    pixels = bytes([10, 20, 30]) * 32 * 24
    image = {"encoding": "IMAGE_ENCODING_RGB8", "width": 32, "height": 24}
    talk.say(framed({"seq": 1, "image": image}, pixels))
    assert talk.answer().outcome == "depth"
    assert (house.engine.seen[0] == (10, 20, 30)).all()


def test_latest_answers_the_newest_and_names_it_in_what_it_skips(talk: Talk, house: House) -> None:
    """The engine is held on the first frame until the whole burst has arrived."""
    talk.open()
    house.engine.hold()
    talk.send(1)
    house.engine.wait_entered()
    talk.send(2, 3, 4)
    talk.say(FINISH)
    house.telemetry.wait("settled", 2)  # frame 4 waits, 2 and 3 were skipped for newer ones
    house.engine.release()
    answers, closing = talk.rest()
    assert [answer.outcome for answer in answers] == ["depth", "skipped", "skipped", "depth"]
    skips = [answer.fields["skipped"] for answer in answers[1:3]]
    assert [skip["superseded_by"] for skip in skips] == ["3", "4"]
    assert {skip["reason"] for skip in skips} == {"SKIP_REASON_SUPERSEDED"}
    assert closing["counts"] == {"answered": "2", "skipped_superseded": "2"}


def test_a_deadline_that_passes_is_a_skip(talk: Talk, house: House) -> None:
    talk.open(OPEN_ALL)
    house.engine.hold()
    talk.send(1)
    house.engine.wait_entered()
    talk.send(2, deadline_us=1)
    house.telemetry.wait("settled", 1)
    house.engine.release()
    talk.say(FINISH)
    answers, _ = talk.rest()
    assert [answer.outcome for answer in answers] == ["depth", "skipped"]
    assert answers[1].fields["skipped"]["reason"] == "SKIP_REASON_DEADLINE"


def test_a_bad_picture_fails_its_frame_and_the_stream_goes_on(talk: Talk) -> None:
    talk.open(OPEN_ALL)
    talk.send(1)
    for seq, image in enumerate([NOTHING, broken(), jpeg(plain((1000, 1001)))], start=2):
        talk.send(seq, image=image)
    talk.send(5, image=replace(NOTHING, data=b""))
    talk.say(framed({"seq": 6, "image": {"encoding": 99}}, PICTURE.data))
    talk.send(7)
    talk.say(FINISH)
    answers, closing = talk.rest()
    assert [answer.outcome for answer in answers] == ["depth", *["failed"] * 5, "depth"]
    codes = [answer.fields["failed"]["code"] for answer in answers[1:6]]
    assert codes == ["bad_image", "bad_image", "image_too_large", "bad_image", "bad_option"]
    assert all(answer.fields["failed"]["repair"] for answer in answers[1:6])
    assert "code" not in closing and sum(map(int, closing["counts"].values())) == 7


def test_a_fault_of_the_engine_fails_its_frame_alone(talk: Talk, house: House) -> None:
    house.engine.fates.append(EngineFault("a moment"))
    talk.open(OPEN_ALL)
    talk.send(1, 2)
    first, second = talk.answer(), talk.answer()
    assert first.fields["failed"]["code"] == Code.ENGINE_FAULT
    assert second.outcome == "depth"


FRAME = framed({"seq": 9}, PICTURE.data)
BROKEN_RULES = {
    "gap": (FRAME, Code.BAD_SEQUENCE),
    "repeat": (framed({"seq": 2}, PICTURE.data), Code.BAD_SEQUENCE),
    "second open": (json.dumps(OPEN_ALL), Code.BAD_SEQUENCE),
    "finish with more": ('{"finish": {"now": 1}}', Code.BAD_SEQUENCE),
    "words": ("hello", Code.BAD_REQUEST),
    "no object": ("[]", Code.BAD_REQUEST),
    "empty text": ("", Code.BAD_REQUEST),
    "empty": (b"", Code.BAD_REQUEST),
    "three bytes": (b"\1\0\0", Code.BAD_REQUEST),
    "header past the end": (struct.pack("<I", 50) + b"{}", Code.BAD_REQUEST),
    "header without end": (b"\xff" * 40, Code.BAD_REQUEST),
    "header too long": (framed(b" " * HEADER_BYTES + b"{}", b""), Code.BAD_REQUEST),
    "not JSON": (framed(b"seq=3", PICTURE.data), Code.BAD_REQUEST),
    "not UTF-8": (framed(b'{"\xff": 3}', PICTURE.data), Code.BAD_REQUEST),
    "a list": (framed([], PICTURE.data), Code.BAD_REQUEST),
    "nested without end": (framed(b"[" * 60_000, PICTURE.data), Code.BAD_REQUEST),
    "unknown field": (framed({"seq": 3, "colour": "red"}, PICTURE.data), Code.BAD_REQUEST),
    "negative": (framed({"seq": -3}, PICTURE.data), Code.BAD_REQUEST),
    "past 64 bits": (framed({"seq": 2**64}, PICTURE.data), Code.BAD_REQUEST),
    "wrong kind": (framed({"seq": 3, "image": 7}, PICTURE.data), Code.BAD_REQUEST),
    "unknown name": (
        framed({"seq": 3, "image": {"encoding": "IMAGE_ENCODING_GIF"}}, PICTURE.data),
        Code.BAD_REQUEST,
    ),
    "image twice": (framed({"seq": 3, "image": {"data": "AAAA"}}, PICTURE.data), Code.BAD_REQUEST),
}


@pytest.mark.parametrize(("wrong", "code"), BROKEN_RULES.values(), ids=BROKEN_RULES)
def test_a_broken_rule_ends_the_stream_after_the_answers_it_owes(
    talk: Talk, wrong: str | bytes, code: Code
) -> None:
    talk.open(OPEN_ALL)
    talk.send(1, 2)
    talk.say(wrong)
    talk.send(3)  # said to a stream that has ended: nobody's frame
    answers, closing = talk.rest()
    assert [answer.outcome for answer in answers] == ["depth", "depth"]
    assert closing["code"] == code and closing["reason"]
    assert closing["counts"] == {"answered": "2"}


@given(st.binary() | st.text() | st.binary().map(lambda header: framed(header, b"image")))
@example('{"finish": 1e999}')
@example(framed({"seq": 1.5}, b""))
@example(framed({"seq": "1e99"}, b""))
@example(framed({"seq": 3, "image": [[]]}, b""))
def test_no_message_is_a_bug(message: str | bytes) -> None:
    """It is a value or a row of the error table, as the first word and as a later one."""
    for read_message in (read_open, read_frame):
        with suppress(FathomError):
            read_message(message)


REFUSED = {
    "a frame": (FRAME, Code.BAD_SEQUENCE),
    "nothing": (b"", Code.BAD_SEQUENCE),
    "finish": (FINISH, Code.BAD_SEQUENCE),
    "null": ('{"open": null}', Code.BAD_SEQUENCE),
    "words": ("hello", Code.BAD_REQUEST),
    "a list": ("[]", Code.BAD_REQUEST),
    "nested without end": ("[" * 60_000, Code.BAD_REQUEST),
    "unknown field": ('{"open": {"colour": "red"}}', Code.BAD_REQUEST),
    "two at once": ('{"open": {}, "frame": {}}', Code.BAD_REQUEST),
    "more beside it": ('{"open": {}, "hello": {}}', Code.BAD_REQUEST),
    "model": ('{"open": {"model": "none"}}', Code.UNKNOWN_MODEL),
    "labels": (
        '{"open": {"model": "plain", "options": {"labels": "LABEL_ENCODING_RAW8"}}}',
        Code.NOT_AVAILABLE,
    ),
    "an endless policy": ('{"open": {"policy": Infinity}}', Code.BAD_REQUEST),
    "every 0": ('{"open": {"policy": "POLICY_EVERY_N"}}', Code.BAD_OPTION),
    "hfov": ('{"open": {"options": {"hfov_deg": 500}}}', Code.BAD_OPTION),
}


@pytest.mark.parametrize(("first", "code"), REFUSED.values(), ids=REFUSED)
def test_a_stream_that_cannot_open_is_refused_with_the_reason(
    talk: Talk, first: str | bytes, code: Code
) -> None:
    talk.say(first)
    assert talk.failed()["code"] == code
    assert talk.closed() == (1008, code)


def test_a_full_house_says_try_again_later(talk: Talk, port: Port) -> None:
    held = [call(port) for _ in range(LIMITS.streams)]
    for connection in held:
        Talk(connection).open()
    talk.say({"open": {}})
    assert talk.failed()["code"] == Code.QUEUE_FULL
    assert talk.closed() == (1013, Code.QUEUE_FULL)
    for connection in held:
        connection.close()
    port.wait_no_streams()
    with call(port) as connection:
        Talk(connection).open()


def test_a_message_past_every_limit_is_refused_by_the_transport(talk: Talk, port: Port) -> None:
    """And never buffered: the length before it is enough. A client may see the close or a reset."""
    talk.open()

    def say_and_listen() -> None:
        talk.say(bytes(2 * (LIMITS.image_bytes + HEADER_BYTES)))
        talk.connection.recv(PATIENCE_S)

    with pytest.raises(ConnectionClosed) as caught:
        say_and_listen()
    assert caught.value.rcvd is None or caught.value.rcvd.code == 1009
    port.wait_no_streams()


def test_a_picture_just_past_the_limit_fails_its_frame_alone(talk: Talk) -> None:
    talk.open(OPEN_ALL)
    talk.send(1, image=replace(NOTHING, data=PICTURE.data + bytes(LIMITS.image_bytes)))
    talk.send(2)
    assert talk.answer().fields["failed"]["code"] == Code.IMAGE_TOO_LARGE
    assert talk.answer().outcome == "depth"


@pytest.mark.parametrize("how", ["says so", "resets", "in mid-message", "in mid-header"])
def test_a_client_that_leaves_takes_its_stream_with_it(how: str, port: Port, house: House) -> None:
    """The engine is held: nothing but the leave itself tells the server."""
    house.engine.hold()
    bare = call_bare(port)
    say_bare(bare, json.dumps(OPEN_ALL).encode(), opcode=1)
    for seq in (1, 2):
        say_bare(bare, framed({"seq": seq}, PICTURE.data))
    house.engine.wait_entered()
    house.telemetry.wait("received", 2)
    match how:
        case "says so":
            say_bare(bare, struct.pack(">H", 1001), opcode=8)
        case "resets":
            bare.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        case "in mid-message":
            bare.sendall(b"\x82\xfe\xff\xff" + bytes(100))  # 65535 bytes announced
        case "in mid-header":
            bare.sendall(b"\x82")
        case _:
            raise AssertionError(how)
    bare.close()
    port.wait_no_streams()
    house.engine.release()
    with call(port) as connection:
        again = Talk(connection)
        again.open()
        again.send(1)
        assert again.answer().outcome == "depth"


def test_a_client_that_leaves_before_a_word_leaves_nothing(port: Port) -> None:
    call(port).close()
    assert not port.streams


def test_a_reader_that_takes_nothing_is_cut(house: House) -> None:
    """Six answers of 6 MB are more than the system buffers; a short patience ends it."""
    port = Port(house, replace(house.service, slow_reader_s=0.05))
    opening = {"policy": "POLICY_ALL", "options": {"output_size": {"explicit": BIG}}}
    with call_bare(port) as bare:
        say_bare(bare, json.dumps({"open": opening}).encode(), opcode=1)
        for seq in range(6):
            say_bare(bare, framed({"seq": seq}, PICTURE.data))
        house.telemetry.wait("received", 1)
        port.wait_no_streams()
    port.close()


def test_a_stop_ends_an_open_stream_with_the_reason(talk: Talk, port: Port) -> None:
    talk.open(OPEN_ALL)
    talk.send(1)
    assert talk.answer().outcome == "depth"
    stopping = threading.Thread(target=port.stop_door)
    stopping.start()
    answers, closing = talk.rest()
    stopping.join(PATIENCE_S)
    assert not answers
    assert closing["code"] == Code.SHUTTING_DOWN and closing["counts"] == {"answered": "1"}


def test_a_page_of_this_server_may_connect(port: Port) -> None:
    with call(port, origin=f"http://127.0.0.1:{port.number}") as connection:
        Talk(connection).open()


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example", "http://127.0.0.1", "null", "", "http://[broken"]
)
def test_a_page_of_another_site_may_not(port: Port, origin: str) -> None:
    """A browser would let it, and send what this person may see."""
    with pytest.raises(InvalidStatus) as caught:
        call(port, origin=origin)
    assert caught.value.response.status_code == 403
