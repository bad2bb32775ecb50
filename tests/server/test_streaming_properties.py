"""The streaming promise over the real dispatch: any schedule, a fake clock, and no threads.

A second set of books beside the server's. The machine is lanes, readers, senders and clock at once:
it takes and settles batches as lanes do, in any order, and hands answers over as doors do, or does
not. Whatever it does, every frame received has one outcome, and each stream hears its own in order.
"""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from fathom import metrics
from fathom.errors import Code, FathomError
from fathom.session.core import outcome
from fathom.values import (
    EncodedDepth,
    Image,
    ImageEncoding,
    Limits,
    OpenStream,
    Options,
    Policy,
    ServerAnswer,
)
from server.core.batcher import CostCurve
from server.core.scheduler import Bounds, Scheduler, Ticket
from server.dispatch import Dispatch, Settled
from server.pipeline import engine_failed
from server.telemetry import Telemetry
from tests.server.conftest import CARD, PICTURE, FakeClock, depth, frame, total

BOUNDS = Bounds(streams=5, streams_per_client=4, queue_frames=3, window_bytes=2)
# Batches of up to two pay, so that one may hold frames of several streams.
CURVE = CostCurve({1: 0.02, 2: 0.025})
WEIGHTS = {"half": 0.5, "one": 1.0, "triple": 3.0}
NO_IMAGE = Image(encoding=ImageEncoding.JPEG, data=b"no picture at all")


@dataclass(eq=False)
class Camera:
    """What one client knows of its stream."""

    opening: OpenStream
    sent: int = 0
    inbox: list[ServerAnswer] = field(default_factory=list)
    read: int = 0

    @property
    def unread_bytes(self) -> int:
        unread = self.inbox[self.read :]
        return sum(each.wire_bytes for each in unread if isinstance(each, EncodedDepth))

    def deliver(self, settled: list[Settled]) -> None:
        self.inbox.extend(each.answer for each in settled)


class Streaming(RuleBasedStateMachine):
    """Any schedule. `steady` is a stream whose reader takes all and whose frames are never late."""

    streams: Bundle[int] = Bundle("streams")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.telemetry = Telemetry()
        scheduler = Scheduler(BOUNDS, CURVE)
        self.dispatch = Dispatch(
            CARD, Limits(), scheduler, self.telemetry, weights=WEIGHTS, clock=self.clock
        )
        self.cameras: dict[int, Camera] = {}
        self.left: list[Camera] = []
        self.computing: list[Ticket] = []
        self.received = 0
        self.stopped = False
        self.taken = set[tuple[int, int]]()
        steady = Camera(OpenStream())
        self.steady = self.dispatch.open(steady.opening, steady.deliver, "another")
        self.cameras[self.steady] = steady

    @precondition(lambda self: not self.stopped)
    @rule(
        target=streams,
        policy=st.sampled_from(Policy),
        every_n=st.integers(1, 3),
        name=st.sampled_from(sorted(WEIGHTS)),
        urgent=st.booleans(),
        smoothing=st.sampled_from([0.0, 0.0, 0.5]),
        deadline_s=st.none() | st.floats(0.01, 0.5),
    )
    def opens(
        self,
        *,
        policy: Policy,
        every_n: int,
        name: str,
        urgent: bool,
        smoothing: float,
        deadline_s: float | None,
    ) -> int | MultipleResults[int]:
        opening = OpenStream(
            name=name,
            policy=policy,
            every_n=every_n,
            options=Options(smoothing=smoothing),
            deadline_s=deadline_s,
            priority=int(urgent),
        )
        camera = Camera(opening)
        if len(self.cameras) == 1 + BOUNDS.streams_per_client:
            with pytest.raises(FathomError) as refused:
                self.dispatch.open(opening, camera.deliver, "me")
            assert refused.value.code is Code.QUEUE_FULL
            return multiple()
        stream = self.dispatch.open(opening, camera.deliver, "me")
        self.cameras[stream] = camera
        return stream

    @rule(stream=streams, deadline_s=st.none() | st.floats(0.0, 0.5), good=st.integers(0, 9))
    def a_frame_arrives(self, stream: int, deadline_s: float | None, good: int) -> None:
        if not self.dispatch.has_room(stream):
            assert self.cameras[stream].opening.policy is Policy.ALL
            return  # flow control holds the sender
        if good:
            self.send(stream, NO_IMAGE if good == 1 else PICTURE, deadline_s)
            return
        self.cameras[stream].sent += 1
        self.received += 1
        error = FathomError(Code.BAD_OPTION, expected="e", got="g", repair="r")
        self.dispatch.refuse(stream, self.cameras[stream].sent, error)

    @rule(stream=streams, step=st.sampled_from([-1, 0, 2]))
    def a_wrong_number_is_not_received(self, stream: int, step: int) -> None:
        camera = self.cameras[stream]
        if camera.sent:
            with pytest.raises(FathomError) as refused:
                self.dispatch.offer(stream, frame(camera.sent + step))
            assert refused.value.code is Code.BAD_SEQUENCE

    @rule(seconds=st.floats(0.0, 0.2))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def deadlines_fall_due(self) -> None:
        self.dispatch.expire()

    @precondition(lambda self: not self.stopped)
    @rule()
    def a_lane_takes_a_batch(self) -> None:
        # `take` waits where all frames are late or held back: one that is neither lets it return.
        self.send(self.steady)
        tickets = self.dispatch.take()
        assert tickets
        assert len(tickets) <= CURVE.largest
        for ticket in tickets:
            key = (ticket.stream, ticket.frame.seq)
            assert key not in self.taken
            self.taken.add(key)
            smoothed = ticket.options.smoothing > 0
            assert not (smoothed and self.computes(ticket.stream))
            self.computing.append(ticket)
            if ticket.stream == self.steady:
                self.finish(ticket)
                self.read(self.steady, self.received)

    @precondition(lambda self: self.computing)
    @rule(data=st.data(), fault=st.booleans(), cost_s=st.floats(0.0, 0.1))
    def a_frame_is_computed(self, data: st.DataObject, *, fault: bool, cost_s: float) -> None:
        self.finish(data.draw(st.sampled_from(self.computing)), fault=fault)
        self.dispatch.cost(cost_s)

    @rule(stream=streams, most=st.integers(1, 4))
    def a_reader_takes_answers(self, stream: int, most: int) -> None:
        self.read(stream, most)

    @rule(stream=consumes(streams))
    def a_client_leaves(self, stream: int) -> None:
        self.dispatch.close(stream)
        self.left.append(self.cameras.pop(stream))

    @precondition(lambda self: self.received > 20 and not self.stopped)
    @rule()
    def the_server_is_stopped(self) -> None:
        self.dispatch.stop()
        self.stopped = True
        assert self.dispatch.waiting == 0

    @invariant()
    def every_frame_waits_is_computed_or_has_one_outcome(self) -> None:
        assert total(self.telemetry, metrics.FRAMES_RECEIVED) == self.received
        settled = total(self.telemetry, metrics.FRAMES)
        assert settled + self.dispatch.waiting + len(self.computing) == self.received

    @invariant()
    def what_waits_is_bounded(self) -> None:
        kept = [camera.opening.policy is Policy.ALL for camera in self.cameras.values()]
        assert self.dispatch.waiting <= sum(BOUNDS.queue_frames if all_ else 1 for all_ in kept)
        for camera in self.cameras.values():
            if camera.opening.policy is not Policy.ALL:
                assert camera.unread_bytes < BOUNDS.window_bytes + depth(1).wire_bytes

    @invariant()
    def each_stream_hears_its_frames_in_order_and_once(self) -> None:
        for camera in self.cameras.values():
            assert [answer.seq for answer in camera.inbox] == [*range(1, len(camera.inbox) + 1)]

    def finish(self, ticket: Ticket, *, fault: bool = False) -> None:
        self.computing.remove(ticket)
        failed = engine_failed(ticket) if fault else None
        self.dispatch.settle(ticket, failed or depth(ticket.frame.seq))

    def computes(self, stream: int) -> bool:
        return any(ticket.stream == stream for ticket in self.computing)

    def send(self, stream: int, image: Image = PICTURE, deadline_s: float | None = None) -> None:
        camera = self.cameras[stream]
        camera.sent += 1
        self.received += 1
        self.dispatch.offer(stream, frame(camera.sent, image, deadline_s=deadline_s))

    def read(self, stream: int, most: int) -> None:
        camera = self.cameras[stream]
        for answer in camera.inbox[camera.read : camera.read + most]:
            camera.read += 1
            if isinstance(answer, EncodedDepth):
                self.dispatch.handed_over(stream, answer.wire_bytes)

    def counted(self) -> Counter[str]:
        """Frames by outcome as the metrics have it, named as `Closing` names them."""
        counts = Counter[str]()
        for family in self.telemetry.registry.collect():
            for sample in family.samples:
                if sample.name == metrics.FRAMES:
                    name = "_".join(
                        filter(None, (sample.labels["outcome"], sample.labels["reason"]))
                    )
                    counts[name] += int(sample.value)
        return counts

    def teardown(self) -> None:
        """Everybody gets what is owed: the lanes finish, and all is heard before they leave."""
        self.dispatch.stop()
        for ticket in self.computing:
            self.dispatch.settle(ticket, depth(ticket.frame.seq))
        for camera in self.cameras.values():
            assert len(camera.inbox) == camera.sent
        heard = Counter(
            outcome(answer)
            for each in (*self.cameras.values(), *self.left)
            for answer in each.inbox
        )
        counted = self.counted()
        assert counted.total() == self.received
        assert heard <= counted if self.left else heard == counted
        for stream in self.cameras:
            self.dispatch.close(stream)
        assert self.dispatch.streams == self.dispatch.waiting == 0


TestStreaming = Streaming.TestCase
TestStreaming.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
