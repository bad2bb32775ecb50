import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fathom.errors import Code, FathomError
from fathom.geometry import FieldOfView
from fathom.session.sync import Client
from fathom.values import (
    DepthEncoding,
    DepthMap,
    Description,
    Failed,
    ImageEncoding,
    OpenStream,
    Options,
    Output,
    Policy,
    ServerAnswer,
    Skipped,
    SkipReason,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import options_from_wire
from fathom.wire.numbers import IMAGE_ENCODING, POLICY

if TYPE_CHECKING:
    from tests.fathom.conftest import Replies, Requests, ScriptedServer

PICTURE = np.zeros((4, 6, 3), np.uint8)
FULL = FathomError(Code.QUEUE_FULL, expected="room", got="no room", repair="come back")
PATIENCE_S = 30.0  # what an event that must come is waited for; a test that passes waits for none


class TickingClock:
    """Every look at it is one second later than the last."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


# One question, one answer


def test_describe_gives_the_server_s_own_words(
    server: "ScriptedServer", description: Description
) -> None:
    with Client(server.address) as client:
        assert client.describe() == description


def test_predict_sends_the_picture_and_gives_metres(server: "ScriptedServer") -> None:
    options = Options(output=Output.SOURCE, camera=FieldOfView(65.0))
    with Client(server.address) as client:
        answer = client.predict(PICTURE, options, model="plane")
    assert np.array_equal(answer.depth_m, np.full((4, 6), 2.0, np.float32))
    (request,) = server.predictions
    assert request.model == "plane"
    assert request.image.encoding == IMAGE_ENCODING[ImageEncoding.RGB8]
    assert request.image.data == PICTURE.tobytes()
    assert options_from_wire(request.options) == options


def test_predict_encoded_leaves_the_bytes_as_they_came(server: "ScriptedServer") -> None:
    with Client(server.address) as client:
        answer = client.predict_encoded(PICTURE, Options(depth_encoding=DepthEncoding.U16_MM))
    assert answer.encoding is DepthEncoding.U16_MM
    assert answer.data == b"\xd0\x07" * 24  # 2000 mm, little endian


def test_an_error_arrives_in_the_server_s_own_words(server: "ScriptedServer") -> None:
    def refuse(_: pb.PredictRequest) -> ServerAnswer:
        raise FULL

    server.predict = refuse
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.predict(PICTURE)
    assert error.value.args == FULL.args


def test_an_answer_without_depth_is_an_error(server: "ScriptedServer") -> None:
    server.predict = lambda _: Skipped(seq=0, reason=SkipReason.POLICY)
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.predict(PICTURE)
    assert error.value.code is Code.BAD_REQUEST


def test_what_is_no_picture_never_leaves(server: "ScriptedServer") -> None:
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.predict(b"a poem")
    assert error.value.code is Code.BAD_IMAGE
    assert not server.predictions


def test_no_server_is_a_lost_connection_that_may_be_tried_again(server: "ScriptedServer") -> None:
    server.stop()
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.predict(PICTURE)
    assert error.value.code is Code.CONNECTION_LOST
    assert error.value.status.retry


def test_describe_waits_for_a_server_as_long_as_it_was_told(server: "ScriptedServer") -> None:
    server.stop()
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.describe(timeout_s=0.01)
    assert error.value.code is Code.CONNECTION_LOST
    assert error.value.expected == f"a Fathom server at {server.address}"
    assert error.value.got == "no answer within 0.01 s"


# Streams


def test_every_frame_is_answered_once_in_order_with_its_picture(server: "ScriptedServer") -> None:
    pictures = [np.full((4, 6, 3), n, np.uint8) for n in range(5)]
    with Client(server.address) as client, client.stream() as stream:
        assert [stream.send(picture) for picture in pictures] == [1, 2, 3, 4, 5]
        stream.finish()
        received = list(stream.answers())
        assert [r.answer.seq for r in received] == [1, 2, 3, 4, 5]
        assert [r.image.data for r in received] == [picture.tobytes() for picture in pictures]
        for seq, one in enumerate(received, start=1):
            decoded = one.decoded()
            assert isinstance(decoded, DepthMap)
            assert (decoded.depth_m == seq).all()
        assert stream.in_flight == 0
        assert stream.closing is not None
        assert stream.closing.reason == "the client was done"


def test_the_opening_travels_and_the_server_s_yes_comes_back(server: "ScriptedServer") -> None:
    opening = OpenStream(model="plane", name="door", policy=Policy.EVERY_N, every_n=2, priority=1)
    heard: list[pb.Open] = []

    def listen(requests: "Requests") -> "Replies":
        heard.append(next(requests).open)
        yield server.opened()

    server.stream = listen
    with Client(server.address) as client, client.stream(opening) as stream:
        assert (stream.opened.stream_id, stream.opened.model, stream.opened.version) == (
            7,
            "plane",
            4,
        )
    (message,) = heard
    assert (message.model, message.stream_name, message.every_n) == ("plane", "door", 2)
    assert message.policy == POLICY[Policy.EVERY_N]


def test_skips_and_failures_are_answers(server: "ScriptedServer") -> None:
    skipped = Skipped(seq=1, reason=SkipReason.SUPERSEDED, superseded_by=2)
    failed = Failed.from_error(2, FULL)

    def decline(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        next(requests)
        yield server.answer(skipped)
        yield server.answer(failed)
        yield server.closing("all declined")

    server.stream = decline
    with Client(server.address) as client, client.stream() as stream:
        stream.send(PICTURE)
        stream.send(PICTURE)
        assert [r.answer for r in stream.answers()] == [skipped, failed]


def test_ages_are_stated_on_this_machine_s_clock(server: "ScriptedServer") -> None:
    frames: list[pb.Frame] = []

    def note(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        frames.append(next(requests).frame)
        yield server.answer(server.plane(1))

    server.stream = note
    with Client(server.address, clock=TickingClock()) as client, client.stream() as stream:
        stream.send(PICTURE, captured_s=0.25, deadline_s=0.5)  # the clock says 1 s
        received = next(stream.answers())  # and now 2 s
    assert (frames[0].age_us, frames[0].deadline_us) == (750_000, 500_000)
    assert (received.round_trip_s, received.age_s) == (1.0, 1.75)


def test_answers_may_be_taken_one_by_one_between_sending(server: "ScriptedServer") -> None:
    with Client(server.address) as client, client.stream() as stream:
        for seq in (1, 2, 3):
            stream.send(PICTURE)
            assert next(stream.answers()).answer.seq == seq


def test_one_thread_sends_while_another_takes_answers(server: "ScriptedServer") -> None:
    frames = 100
    with Client(server.address) as client, client.stream() as stream:

        def send_all() -> None:
            for _ in range(frames):
                stream.send(PICTURE)
            stream.finish()

        sender = threading.Thread(target=send_all)
        sender.start()
        assert [r.answer.seq for r in stream.answers()] == list(range(1, frames + 1))
        sender.join(PATIENCE_S)
        assert not sender.is_alive()


def test_a_refused_opening_arrives_in_the_server_s_own_words(server: "ScriptedServer") -> None:
    def refuse(requests: "Requests") -> "Replies":
        next(requests)
        yield from ()
        raise FULL

    server.stream = refuse
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.stream()
    assert error.value.args == FULL.args


def test_a_stream_that_ends_before_it_opens_is_an_error(server: "ScriptedServer") -> None:
    server.stream = lambda _: iter(())
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.stream()
    assert error.value.code is Code.INTERNAL


def test_no_server_opens_no_stream(server: "ScriptedServer") -> None:
    server.stop()
    with Client(server.address) as client, pytest.raises(FathomError) as error:
        client.stream()
    assert error.value.code is Code.CONNECTION_LOST


def test_a_lost_connection_answers_every_frame_and_then_raises(server: "ScriptedServer") -> None:
    cut = threading.Event()

    def answer_one_of_three(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        for _ in range(3):
            next(requests)
        yield server.answer(server.plane(1))
        cut.wait(PATIENCE_S)

    server.stream = answer_one_of_three
    with Client(server.address) as client, client.stream() as stream:
        for _ in range(3):
            stream.send(PICTURE)
        answers = stream.answers()
        assert next(answers).answer.seq == 1
        server.stop()
        cut.set()
        lost = [next(answers).answer, next(answers).answer]
        assert [(a.seq, a.code) for a in lost if isinstance(a, Failed)] == [
            (2, Code.CONNECTION_LOST),
            (3, Code.CONNECTION_LOST),
        ]
        with pytest.raises(FathomError) as error:
            next(answers)
        assert error.value.code is Code.CONNECTION_LOST
        assert stream.in_flight == 0
        with pytest.raises(FathomError) as refused:
            stream.send(PICTURE)
        assert refused.value.code is Code.CONNECTION_LOST


def test_an_error_amid_the_stream_answers_every_frame_and_then_raises(
    server: "ScriptedServer",
) -> None:
    def fault(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        raise FathomError(Code.ENGINE_FAULT, expected="metres", got="smoke", repair="try again")

    server.stream = fault
    with Client(server.address) as client, client.stream() as stream:
        stream.send(PICTURE)
        answers = stream.answers()
        assert isinstance(next(answers).answer, Failed)
        with pytest.raises(FathomError) as error:
            next(answers)
    assert (error.value.code, error.value.got) == (Code.ENGINE_FAULT, "smoke")


@pytest.mark.parametrize("says_why", [True, False])
def test_frames_that_the_server_left_behind_are_answered_too(
    server: "ScriptedServer", says_why: bool
) -> None:
    def leave(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        next(requests)
        yield server.answer(server.plane(1))
        if says_why:
            yield server.closing("going home")

    server.stream = leave
    with Client(server.address) as client, client.stream() as stream:
        stream.send(PICTURE)
        stream.send(PICTURE)
        first, second = (r.answer for r in stream.answers())
        assert first.seq == 1
        assert isinstance(second, Failed)
        assert (second.seq, second.code) == (2, Code.CONNECTION_LOST)
        assert (stream.closing is not None) == says_why
        with pytest.raises(FathomError) as error:
            stream.send(PICTURE)
        assert error.value.code is Code.CONNECTION_LOST


def test_a_sender_that_waits_for_room_is_told_when_the_stream_ends(
    server: "ScriptedServer",
) -> None:
    # No one reads: one frame fills the connection, two the outbox, and the fourth has to wait.
    large = np.zeros((1500, 2000, 3), np.uint8)
    waits = threading.Event()
    codes: list[Code] = []

    def read_nothing(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        waits.wait(PATIENCE_S)
        yield server.closing("going home")

    server.stream = read_nothing
    with Client(server.address) as client, client.stream() as stream:

        def send_until_told() -> None:
            try:
                while True:
                    if stream.send(large) == 3:
                        waits.set()
            except FathomError as error:
                codes.append(error.code)
            finally:
                waits.set()

        sender = threading.Thread(target=send_until_told, daemon=True)
        sender.start()
        for received in stream.answers():
            assert isinstance(received.answer, Failed)
        sender.join(PATIENCE_S)
        assert codes == [Code.CONNECTION_LOST]
        assert stream.in_flight == 0


def test_finishing_twice_is_no_error_and_sending_after_it_is(server: "ScriptedServer") -> None:
    with Client(server.address) as client, client.stream() as stream:
        stream.finish()
        stream.finish()
        with pytest.raises(FathomError) as error:
            stream.send(PICTURE)
        assert error.value.code is Code.BAD_SEQUENCE
        assert list(stream.answers()) == []


def test_what_is_no_picture_takes_no_number(server: "ScriptedServer") -> None:
    with Client(server.address) as client, client.stream() as stream:
        with pytest.raises(FathomError) as error:
            stream.send(b"a poem")
        assert error.value.code is Code.BAD_IMAGE
        assert stream.send(PICTURE) == 1


def test_closing_the_stream_ends_another_thread_s_answers(server: "ScriptedServer") -> None:
    heard = threading.Event()
    codes: list[Code] = []

    def listen(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        next(requests)
        heard.set()
        for _ in requests:
            pass

    server.stream = listen
    with Client(server.address) as client:
        stream = client.stream()
        stream.send(PICTURE)

        def take() -> None:
            try:
                codes.extend(
                    r.answer.code for r in stream.answers() if isinstance(r.answer, Failed)
                )
            except FathomError as error:
                codes.append(error.code)

        reader = threading.Thread(target=take, daemon=True)
        reader.start()
        assert heard.wait(PATIENCE_S)
        stream.close()
        reader.join(PATIENCE_S)
        assert not reader.is_alive()
    assert set(codes) == {Code.CONNECTION_LOST}


def test_leaving_the_stream_ends_it_on_the_server(server: "ScriptedServer") -> None:
    heard, gone = threading.Event(), threading.Event()

    def listen(requests: "Requests") -> "Replies":
        next(requests)
        yield server.opened()
        try:
            for _ in requests:
                heard.set()
        finally:
            gone.set()

    server.stream = listen
    with Client(server.address) as client:
        with client.stream() as stream:
            stream.send(PICTURE)
            assert heard.wait(PATIENCE_S)
        assert gone.wait(PATIENCE_S)
        with pytest.raises(FathomError) as error:
            stream.send(PICTURE)
        assert error.value.code is Code.CONNECTION_LOST
