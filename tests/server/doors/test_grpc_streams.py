"""Streams over gRPC: order, policies, broken rules, and whoever leaves."""

from collections.abc import Iterable, Iterator

import grpc
import pytest

from fathom.errors import Code
from fathom.values import (
    Image,
    ImageEncoding,
    OpenStream,
    Policy,
)
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import frame_to_wire, open_to_wire
from fathom.wire.depth_pb2_grpc import DepthStub
from tests.server.conftest import (
    PATIENCE_S,
    broken,
    frame,
)
from tests.server.doors.conftest import LIMITS, House, Wire
from tests.server.doors.grpc_talk import Talk, refused, request

NOTHING = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


@pytest.fixture
def talk(stub: DepthStub) -> Iterator[Talk]:
    talk = Talk(stub)
    yield talk
    talk.finish()
    talk.leave()


def outcomes(answers: Iterable[pb.Answer]) -> list[str | None]:
    return [answer.WhichOneof("outcome") for answer in answers]


def test_a_stream_opens_answers_in_order_and_closes_with_its_counts(talk: Talk) -> None:
    opened = talk.open(OpenStream(policy=Policy.ALL, name="front door"))
    assert (opened.model, opened.version) == ("ramp", 3)
    assert opened.limits.waiting_frames == LIMITS.waiting_frames
    talk.send(*(frame(seq) for seq in range(10, 30)))
    talk.finish()
    answers, closing = talk.rest()
    assert [answer.seq for answer in answers] == list(range(10, 30))
    assert outcomes(answers) == ["depth"] * 20
    assert (closing.code, dict(closing.counts)) == ("", {"answered": 20})


def test_latest_answers_the_newest_and_names_it_in_what_it_skips(talk: Talk, house: House) -> None:
    """The engine is held on the first frame until the whole burst has arrived."""
    talk.open()
    house.engine.hold()
    talk.send(frame(1))
    house.engine.wait_entered()
    talk.send(*(frame(seq) for seq in (2, 3, 4)))
    talk.finish()
    house.telemetry.wait("settled", 2)  # frame 4 waits, 2 and 3 were skipped for newer ones
    house.engine.release()
    answers, closing = talk.rest()
    assert outcomes(answers) == ["depth", "skipped", "skipped", "depth"]
    assert [answer.skipped.superseded_by for answer in answers[1:3]] == [3, 4]
    assert dict(closing.counts) == {"answered": 2, "skipped_superseded": 2}


def test_every_n_keeps_every_nth(talk: Talk) -> None:
    talk.open(OpenStream(policy=Policy.EVERY_N, every_n=3))
    kinds: list[str | None] = []
    for seq in range(1, 8):
        talk.send(frame(seq))
        answer = talk.answer()
        kinds.append(answer.WhichOneof("outcome"))
        assert answer.skipped.reason in {0, pb.SKIP_REASON_POLICY}
    talk.finish()
    talk.rest()
    keeps = ["depth", "skipped", "skipped"]
    assert kinds == [*keeps, *keeps, "depth"]


def test_a_bad_picture_fails_its_frame_and_the_stream_goes_on(talk: Talk) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    unknown = pb.Image(encoding=99, data=b"x")  # type: ignore[arg-type]  # no such number
    talk.send(frame(1), frame(2, NOTHING), frame(3, broken()))
    talk.say(
        pb.StreamRequest(frame=pb.Frame(seq=4)),
        pb.StreamRequest(frame=pb.Frame(seq=5, image=unknown)),
    )
    talk.send(frame(6))
    talk.finish()
    answers, closing = talk.rest()
    assert outcomes(answers) == ["depth", *["failed"] * 4, "depth"]
    codes = [answer.failed.code for answer in answers[1:5]]
    assert codes == [Code.BAD_IMAGE, Code.BAD_IMAGE, Code.BAD_IMAGE, Code.BAD_OPTION]
    assert all(answer.failed.repair for answer in answers[1:5])
    assert closing.code == ""
    assert sum(closing.counts.values()) == 6


@pytest.mark.parametrize(
    "wrong",
    [
        pb.StreamRequest(frame=frame_to_wire(frame(9))),
        pb.StreamRequest(frame=frame_to_wire(frame(2))),
        pb.StreamRequest(open=open_to_wire(OpenStream())),
        pb.StreamRequest(),
    ],
    ids=["gap", "repeat", "second Open", "nothing"],
)
def test_a_broken_rule_ends_the_stream_after_the_answers_it_owes(
    talk: Talk, wrong: pb.StreamRequest
) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    talk.send(frame(1), frame(2))
    talk.say(wrong)
    answers, closing = talk.rest()
    assert outcomes(answers) == ["depth", "depth"]
    assert closing.code == Code.BAD_SEQUENCE and closing.reason
    assert dict(closing.counts) == {"answered": 2}


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (pb.StreamRequest(frame=frame_to_wire(frame(1))), Code.BAD_SEQUENCE),
        (None, Code.BAD_SEQUENCE),
        (pb.StreamRequest(open=pb.Open(model="none")), Code.UNKNOWN_MODEL),
        (
            pb.StreamRequest(
                open=pb.Open(model="plain", options=pb.Options(labels=pb.LABEL_ENCODING_RAW8))
            ),
            Code.NOT_AVAILABLE,
        ),
        (pb.StreamRequest(open=pb.Open(policy=pb.POLICY_EVERY_N)), Code.BAD_OPTION),
        (pb.StreamRequest(open=pb.Open(options=pb.Options(hfov_deg=500))), Code.BAD_OPTION),
    ],
    ids=["no Open", "no word", "model", "labels", "every 0", "hfov"],
)
def test_a_stream_that_cannot_open_is_refused(
    talk: Talk, first: pb.StreamRequest | None, code: Code
) -> None:
    if first is not None:
        talk.say(first)
    talk.finish()
    with pytest.raises(grpc.RpcError) as caught:
        talk.reply()
    refused(caught.value, code)


def test_a_client_that_leaves_costs_its_own_frames_only(
    stub: DepthStub, talk: Talk, house: House
) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    house.engine.hold()
    talk.send(frame(1), frame(2))
    house.engine.wait_entered()
    house.telemetry.wait("received", 2)
    talk.leave()
    asked = stub.Predict.future(request(), timeout=PATIENCE_S)
    house.telemetry.wait("received", 3)
    house.engine.release()
    assert asked.result(PATIENCE_S).WhichOneof("outcome") == "depth"


def test_a_stop_ends_an_open_stream_with_the_reason(talk: Talk, wire: Wire) -> None:
    talk.open(OpenStream(policy=Policy.ALL))
    talk.send(frame(1))
    assert talk.answer().WhichOneof("outcome") == "depth"
    wire.stop_door()
    answers, closing = talk.rest()
    assert not answers
    assert closing.code == Code.SHUTTING_DOWN and dict(closing.counts) == {"answered": 1}
