"""What the tests of the server stand on: a clock, a network, readers and pictures they control."""

import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

import cv2
import numpy as np
import pytest
import simplejpeg
from hypothesis import settings
from numpy.typing import NDArray

from fathom import metrics
from fathom.card import Card
from fathom.codecs.image import inspect
from fathom.geometry import F32, RGB, Intrinsics, Size
from fathom.values import (
    DepthEncoding,
    Description,
    EncodedDepth,
    Frame,
    Image,
    ImageEncoding,
    Limits,
    Options,
    ServerAnswer,
)
from server.core.batcher import CostCurve
from server.core.scheduler import Bounds, Scheduler, Ticket
from server.dispatch import Dispatch, Settled
from server.engines.engine import EngineSpec, Outputs
from server.keeper import Reloaded
from server.lanes import Lanes
from server.models import Models, ServedModel
from server.service import Service
from server.telemetry import Telemetry

# Hypothesis gives each example 200 ms unless told: a time, and this machine may be shared.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

# Far longer than anything here takes: it ends a test that would hang, and times nothing.
PATIENCE_S = 20.0

NO_COST = CostCurve({1: 0.0})
BATCHES_OF_4 = CostCurve({1: 1e-3, 4: 1e-3})

INPUT_SIZE: Size = (24, 32)
FOCAL_PX = 40.0

CARD = Card(
    name="ramp",
    version=3,
    summary="row r of the network input is r + 1 metres away",
    recipe="a formula",
    data="none",
    data_licence="none",
    parameters=0,
    input_size=INPUT_SIZE,
    outputs=("depth_m", "labels"),
    classes=("nothing", "left", "right"),
    class_colours=("#000000", "#1f77b4", "#ff7f0e"),
    focal_px=FOCAL_PX,
    range_m=(1.0, 24.0),
    figures=(),
    files=(),
)


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


Fate: TypeAlias = Exception | Outputs


class ScriptedEngine:
    """A network that sees row r at r + 1 metres, the left half as class 1, the right as class 2.

    `fates` are what the next calls do instead: raise, or answer something else. `hold` makes calls
    wait inside until `release`; `entered` counts them. `seen` is what the last call was given.
    """

    def __init__(self, *, max_batch: int = 1, lanes: int = 1, overlap: bool = False) -> None:
        self.fates: deque[Fate | None] = deque()
        self.entered = threading.Semaphore(0)
        self.seen = np.zeros((0, *INPUT_SIZE, 3), np.uint8)
        self.calls: list[tuple[int, int]] = []  # (frames, lane)
        self.closed = False
        self.due_s: float | None = None
        self._open = threading.Event()
        self._open.set()
        self.spec = EngineSpec(
            name="scripted",
            device="none",
            precision="f32",
            input_size=INPUT_SIZE,
            max_batch=max_batch,
            outputs=("depth_m", "labels"),
            lanes=lanes,
            overlap=overlap,
        )
        # One buffer for every call, as the contract allows: what outlives a call must be copied.
        self._depth_m = np.empty((max_batch, *INPUT_SIZE), np.float32)
        self._labels = np.ones((max_batch, *INPUT_SIZE), np.uint8)
        self._labels[:, :, INPUT_SIZE[1] // 2 :] = 2

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def infer(self, frames: NDArray[np.uint8], lane: int, due_s: float | None = None) -> Outputs:
        self.due_s = due_s
        self.calls.append((len(frames), lane))
        self.seen = frames.copy()
        self.entered.release()
        assert self._open.wait(PATIENCE_S), "the test never released the engine"
        fate = self.fates.popleft() if self.fates else None
        if isinstance(fate, Exception):
            raise fate
        self._depth_m[...] = ramp()
        if fate is not None:
            self._depth_m[...] = np.nan  # the call before has no claim on it any more
            return fate
        return Outputs(self._depth_m[: len(frames)], self._labels[: len(frames)])

    def close(self) -> None:
        self.closed = True

    def wait_entered(self) -> None:
        """Return when one more call is inside."""
        assert self.entered.acquire(timeout=PATIENCE_S), "the engine was not called"


def ramp() -> F32:
    """What the scripted network answers: row r is r + 1 metres away."""
    rows = np.arange(1, INPUT_SIZE[0] + 1, dtype=np.float32)
    return np.repeat(rows[:, None], INPUT_SIZE[1], axis=1)


class Inbox:
    """A stream's reader: everything that was delivered, in order."""

    def __init__(self) -> None:
        self._settled: list[Settled] = []
        self._changed = threading.Condition()

    def __call__(self, settled: list[Settled]) -> None:
        with self._changed:
            self._settled.extend(settled)
            self._changed.notify_all()

    @property
    def answers(self) -> list[ServerAnswer]:
        return [settled.answer for settled in self._settled]

    @property
    def seqs(self) -> list[int]:
        return [answer.seq for answer in self.answers]

    def wait(self, count: int) -> list[ServerAnswer]:
        """All answers, once there are `count`."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._settled) >= count, PATIENCE_S)
        assert came, f"{len(self._settled)} answers of {count}"
        return self.answers


def jpeg(pixels: RGB) -> Image:
    """A JPEG without loss to speak of: quality 95, colour at full resolution."""
    data = bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), 95, colorsubsampling="444"))
    return Image(encoding=ImageEncoding.JPEG, data=data)


def png(pixels: RGB) -> Image:
    _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return Image(encoding=ImageEncoding.PNG, data=data.tobytes())


def plain(size: Size = (48, 64)) -> RGB:
    """A grey picture of (height, width); the default meets the network's input at one half."""
    return np.full((*size, 3), 128, np.uint8)


def turned(image: Image, orientation: int) -> Image:
    """A JPEG with an EXIF block of one tag: orientation, big-endian (JEITA CP-3451)."""
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    body = b"Exif\0\0" + tiff
    block = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return Image(encoding=image.encoding, data=image.data[:2] + block + image.data[2:])


def broken() -> Image:
    """A PNG whose header is whole and whose pixels are not: admitted, then refused by a lane."""
    whole = png(np.random.default_rng(8).integers(0, 256, (48, 64, 3)).astype(np.uint8))
    return Image(encoding=ImageEncoding.PNG, data=whole.data[: len(whole.data) // 2])


PICTURE = jpeg(plain())


def frame(
    seq: int, image: Image = PICTURE, *, age_s: float = 0.0, deadline_s: float | None = None
) -> Frame:
    return Frame(seq=seq, image=image, age_s=age_s, deadline_s=deadline_s)


def ticket(
    seq: int = 1,
    image: Image = PICTURE,
    options: Options | None = None,
    *,
    stream: int = 1,
    arrived_s: float = 0.0,
    due_s: float | None = None,
) -> Ticket:
    return Ticket(
        stream=stream,
        frame=frame(seq, image),
        header=inspect(image, Limits()),
        options=options or Options(),
        arrived_s=arrived_s,
        due_s=due_s,
    )


def depth(seq: int) -> EncodedDepth:
    """A lane's answer, as small as one can be."""
    return EncodedDepth(
        seq=seq,
        encoding=DepthEncoding.U16_MM,
        width_px=1,
        height_px=1,
        data=b"\xe8\x03",
        camera=Intrinsics.centred(1.0, (1, 1)),
        focal_given=False,
        model=CARD.name,
        version=CARD.version,
    )


class WatchedTelemetry(Telemetry):
    """Lets a test go on when the server has received, or settled, so many frames."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = Counter[str]()
        self._moved = threading.Condition()

    def received(self, model: str) -> None:
        super().received(model)
        self._note("received")

    def settled(self, model: str, answer: ServerAnswer) -> None:
        super().settled(model, answer)
        self._note("settled")

    def wait(self, event: str, count: int) -> None:
        with self._moved:
            came = self._moved.wait_for(lambda: self._seen[event] >= count, PATIENCE_S)
        assert came, f"{self._seen[event]} frames {event} of {count}"

    def _note(self, event: str) -> None:
        with self._moved:
            self._seen[event] += 1
            self._moved.notify_all()


def total(telemetry: Telemetry, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry these labels."""
    return sum(
        sample.value
        for family in telemetry.registry.collect()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def serve_model(
    engine: ScriptedEngine, dispatch: Dispatch, telemetry: Telemetry, curve: CostCurve = NO_COST
) -> ServedModel:
    """A model whose lanes are not started yet."""
    return ServedModel(dispatch, Lanes(engine, dispatch.card, curve, dispatch, telemetry))


def new_service(
    models: Models,
    telemetry: Telemetry,
    *,
    limits: Limits | None = None,
    ready: Callable[[], bool] = lambda: True,
    reload: Callable[[], list[Reloaded]] | None = None,
) -> Service:
    return Service(
        models=models,
        offers=Description(
            server_version="1.2.3",
            models=tuple(model.info for model in models),
            depth_encodings=tuple(DepthEncoding),
            image_encodings=tuple(ImageEncoding),
            limits=limits or Limits(),
            engine="scripted",
            device="none",
            precision="f32",
        ),
        telemetry=telemetry,
        ready=ready,
        predict_timeout_s=PATIENCE_S,
        slow_reader_s=PATIENCE_S,
        reload=reload,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def telemetry() -> Iterator[WatchedTelemetry]:
    """Checked on the way out of every test: each frame received has exactly one outcome."""
    telemetry = WatchedTelemetry()
    yield telemetry
    received = total(telemetry, metrics.FRAMES_RECEIVED)
    assert total(telemetry, metrics.FRAMES) == received


@pytest.fixture
def new_dispatch(telemetry: Telemetry, clock: FakeClock) -> Callable[..., Dispatch]:
    """Makes a dispatch on the fake clock for an engine of this cost; keywords are bounds."""

    def make(curve: CostCurve = NO_COST, card: Card = CARD, **bounds: int) -> Dispatch:
        scheduler = Scheduler(Bounds(**bounds), curve)
        return Dispatch(card, Limits(), scheduler, telemetry, clock=clock)

    return make


@pytest.fixture
def dispatch(new_dispatch: Callable[..., Dispatch]) -> Dispatch:
    return new_dispatch()
