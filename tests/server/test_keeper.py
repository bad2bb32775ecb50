"""Engines fail, hang and are replaced; every frame gets its one answer, from one version."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fathom.card import CARD_FILE, Card
from fathom.codecs.depth import decode_depth
from fathom.errors import Code, FathomError
from fathom.values import (
    DepthEncoding,
    EncodedDepth,
    Failed,
    OpenStream,
    Options,
    Policy,
    ServerAnswer,
)
from server.core.recovery import Recovery
from server.dispatch import Dispatch
from server.engines.engine import Engine, EngineFault, Outputs
from server.keeper import Keeper
from server.models import Models
from server.settings import Settings, load
from server.telemetry import Telemetry
from tests.server.conftest import (
    CARD,
    INPUT_SIZE,
    NO_COST,
    PATIENCE_S,
    FakeClock,
    Inbox,
    ScriptedEngine,
    frame,
    serve_model,
)

EXACT = OpenStream(policy=Policy.ALL, options=Options(depth_encoding=DepthEncoding.F32_M))
TIMEOUT_S = 10.0


class FlatEngine(ScriptedEngine):
    """Answers its own number of metres everywhere: a depth tells which engine computed it."""

    def __init__(self, metres: float, *, overlap: bool = False) -> None:
        super().__init__(overlap=overlap)
        self.metres = metres

    def infer(self, frames: NDArray[np.uint8], lane: int, due_s: float | None = None) -> Outputs:
        outputs = super().infer(frames, lane, due_s)
        outputs.depth_m[:] = self.metres
        return outputs


class Repository:
    """A folder with the card of one model, and the engines that its versions open as."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opened: list[str] = []
        self.next: list[FlatEngine | FathomError] = []
        self.card = CARD

    def publish(self, card: Card, engine: FlatEngine | FathomError) -> None:
        self.card = card
        self.next = [engine]
        folder = self.root / card.name
        folder.mkdir(exist_ok=True)
        (folder / CARD_FILE).write_text(card.to_json())

    def open(self, name: str, settings: Settings) -> tuple[Card, Engine]:  # noqa: ARG002
        self.opened.append(name)
        engine = self.next.pop(0)
        if isinstance(engine, FathomError):
            raise engine
        return self.card, engine


class Place:
    """A server of one model at version 3, whose engine says 3 m; one stream takes everything."""

    def __init__(
        self, root: Path, dispatch: Dispatch, telemetry: Telemetry, clock: FakeClock, overlap: bool
    ) -> None:
        self.overlap = overlap
        self.clock = clock
        self.first = FlatEngine(3, overlap=overlap)
        self.model = serve_model(self.first, dispatch, telemetry)
        self.model.lanes.start()
        self.repository = Repository(root)
        self.repository.publish(CARD, self.engine(3))
        settings = load([f"--model-repository={root}", f"--engine-timeout-s={TIMEOUT_S}"], {})[0]
        self.keeper = Keeper(
            Models([self.model]), settings, telemetry, opener=self.repository.open, clock=clock
        )
        self.recovery = Recovery()
        self.inbox = Inbox()
        self.stream = dispatch.open(EXACT, self.inbox)
        self.sent = 0

    def engine(self, metres: float) -> FlatEngine:
        return FlatEngine(metres, overlap=self.overlap)

    def send(self, count: int = 1) -> None:
        for _ in range(count):
            self.sent += 1
            self.model.dispatch.offer(self.stream, frame(self.sent))

    def answer(self) -> ServerAnswer:
        self.send()
        return self.inbox.wait(self.sent)[-1]

    def look(self) -> None:
        self.keeper.look_after(self.model, self.recovery)

    def stop(self) -> None:
        self.keeper.stop()
        self.first.release()
        self.model.dispatch.stop()
        assert self.model.lanes.join(PATIENCE_S)


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"])
def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    new_dispatch: Callable[..., Dispatch],
    telemetry: Telemetry,
    clock: FakeClock,
) -> Iterator[Place]:
    place = Place(tmp_path, new_dispatch(NO_COST), telemetry, clock, request.param)
    yield place
    place.stop()


def told(answer: ServerAnswer) -> tuple[float, int]:
    """(metres, version) of an answer that is the same everywhere."""
    assert isinstance(answer, EncodedDepth)
    depth_m = decode_depth(answer.data, answer.encoding, (answer.height_px, answer.width_px))
    assert depth_m.min() == depth_m.max()
    return float(depth_m[0, 0]), answer.version


def code(answer: ServerAnswer) -> Code | None:
    return answer.code if isinstance(answer, Failed) else None


def bad_model() -> FathomError:
    return FathomError(Code.BAD_MODEL, expected="a network", got="none", repair="export it")


def test_a_new_version_takes_over_between_two_frames(place: Place) -> None:
    assert told(place.answer()) == (3, 3)
    place.repository.publish(replace(CARD, version=4), place.engine(4))
    [reloaded] = place.keeper.reload()
    assert (reloaded.version, reloaded.before, reloaded.refused) == (4, 3, "")
    assert told(place.answer()) == (4, 4)
    assert place.first.closed and place.model.info.version == 4


def test_under_load_every_frame_is_answered_by_one_version(place: Place) -> None:
    """Depth tells the engine, the answer names the version: the two agree for every frame."""
    place.repository.publish(replace(CARD, version=4), place.engine(4))
    for k in range(40):
        place.send(5)
        if k == 20:
            place.inbox.wait(50)
            place.keeper.reload()
    answers = [told(answer) for answer in place.inbox.wait(200)]
    assert answers == sorted(answers) and set(answers) == {(3, 3), (4, 4)}


def test_a_frame_that_computes_is_finished_by_the_version_that_began_it(place: Place) -> None:
    place.first.hold()
    place.send(3)
    place.first.wait_entered()
    place.repository.publish(replace(CARD, version=4), second := place.engine(4))
    lanes = place.model.lanes
    place.model.dispatch.employ(second, replace(CARD, version=4), NO_COST)  # the old are sent home
    place.first.release()
    assert lanes.join(PATIENCE_S)
    assert told(place.inbox.wait(1)[0]) == (3, 3)
    place.keeper.reload()
    assert told(place.inbox.wait(3)[-1]) == (4, 4)


def test_a_version_that_is_already_served_is_not_opened_again(place: Place) -> None:
    [reloaded] = place.keeper.reload()
    assert (reloaded.version, reloaded.before, reloaded.refused) == (3, 3, "")
    assert place.repository.opened == []


def test_a_version_that_cannot_be_opened_is_refused_and_the_last_serves_on(place: Place) -> None:
    place.repository.publish(replace(CARD, version=4), bad_model())
    [reloaded] = place.keeper.reload()
    assert (reloaded.version, reloaded.before) == (3, 3) and "bad_model" in reloaded.refused
    assert told(place.answer()) == (3, 3)


@pytest.mark.parametrize("flaw", ["no labels", "not a number", "faults"])
def test_a_version_that_gives_less_is_refused_and_closed(place: Place, flaw: str) -> None:
    engine = place.engine(np.nan if flaw == "not a number" else 4)
    outputs = ("depth_m",) if flaw == "no labels" else CARD.outputs
    if flaw == "faults":
        engine.fates.append(EngineFault("out of memory"))
    place.repository.publish(replace(CARD, version=4, outputs=outputs), engine)
    [reloaded] = place.keeper.reload()
    assert reloaded.refused and engine.closed
    assert told(place.answer()) == (3, 3)


def test_a_card_that_is_none_is_refused(place: Place) -> None:
    (place.repository.root / CARD.name / CARD_FILE).write_text("{}")
    assert "bad_model" in place.keeper.reload()[0].refused
    assert told(place.answer()) == (3, 3)


def test_after_three_faults_in_a_row_the_engine_is_opened_again(place: Place) -> None:
    for _ in range(2):
        place.first.fates.append(EngineFault("a bad moment"))
        assert code(place.answer()) is Code.ENGINE_FAULT
        place.look()
    assert place.repository.opened == []
    place.first.fates.append(EngineFault("a bad moment"))
    assert code(place.answer()) is Code.ENGINE_FAULT
    assert not place.model.healthy
    place.look()
    assert place.repository.opened == [CARD.name] and place.first.closed
    assert place.model.healthy
    assert told(place.answer()) == (3, 3)


def test_an_engine_that_cannot_be_opened_is_tried_again_later(place: Place) -> None:
    place.first.fates.extend([EngineFault("broken")] * 3)
    for _ in range(3):
        place.answer()
    place.repository.next = [bad_model(), bad_model(), place.engine(5)]
    tries = []
    for _ in range(20):
        place.look()
        tries.append(len(place.repository.opened))
        place.clock.advance(0.25)
    # At 0 s, 1 s and 3 s: the rests double.
    assert tries == [1] * 4 + [2] * 8 + [3] * 8
    assert told(place.answer()) == (5, 3) and place.model.healthy


def test_frames_of_an_engine_that_hangs_are_failed_and_the_next_are_served(place: Place) -> None:
    place.first.hold()
    place.send(2)  # one computes, and one may be decoded behind it
    place.first.wait_entered()
    place.look()
    assert place.inbox.answers == []
    place.clock.advance(TIMEOUT_S + 0.1)
    place.look()
    assert code(place.inbox.wait(1)[0]) is Code.ENGINE_FAULT
    place.inbox.wait(2)
    assert told(place.answer()) == (3, 3)
    assert place.model.healthy and not place.first.closed


def test_an_answer_that_comes_after_all_meets_nobody(place: Place) -> None:
    """The thread that hung comes back, finds its frame answered, and goes home."""
    hung = place.model.lanes
    place.first.hold()
    place.send()
    place.first.wait_entered()
    place.clock.advance(TIMEOUT_S + 0.1)
    place.look()
    place.inbox.wait(1)
    place.first.release()
    assert hung.join(PATIENCE_S)
    assert len(place.inbox.answers) == 1
    assert told(place.answer()) == (3, 3)


def test_while_no_engine_can_be_opened_frames_fail_and_do_not_wait(place: Place) -> None:
    place.repository.next = [bad_model(), place.engine(5)]
    place.first.hold()
    place.send()
    place.first.wait_entered()
    place.clock.advance(TIMEOUT_S + 0.1)
    place.look()
    assert [code(place.answer()) for _ in range(4)] == [Code.ENGINE_FAULT] * 4
    assert not place.model.healthy
    place.clock.advance(1)
    place.look()
    assert told(place.answer()) == (5, 3) and place.model.healthy


def test_the_watch_goes_on_by_itself_until_it_is_stopped(place: Place) -> None:
    place.first.fates.extend([EngineFault("broken")] * 3)
    for _ in range(3):
        place.answer()
    new = place.repository.next[0]
    assert isinstance(new, FlatEngine)
    place.keeper.start()
    new.wait_entered()  # warmed up by the watch
    assert new.seen.shape[1:3] == INPUT_SIZE
