"""What a server's work takes, as answers tell it: stage times, and what is left of their ages.

Two runs against one server. A lone camera, at a quarter of what a lane can do, shows a frame's way
there and back: its age without its stages. Many cameras in a closed loop show the stages under
load, and what a lane takes between two batches. The curve is measured by the call that the server
itself measures it with.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from benchmarks.fleet.costs import Costs, Spread
from benchmarks.generator import camera_stream
from benchmarks.pictures import camera_jpeg
from benchmarks.serving import Serving
from benchmarks.tallies import Schedule
from fathom.machine import describe_machine
from fathom.session.aio import Stream
from fathom.session.pictures import as_image
from fathom.values import EncodedDepth, Image, OpenStream, Policy, StageTimes
from server.core.batcher import CostCurve
from server.engines.engine import EngineSpec
from server.models import open_models
from server.settings import load
from server.telemetry import Telemetry
from server.warm_up import measure_costs

_SHARE_OF_A_LANE = 0.25
_FASTEST_FPS = 30.0
_CAMERAS, _IN_FLIGHT = 16, 4
# Of the closed loop: caches and the scheduler's idea of the cost settle.
_SETTLING = 0.2
_RUN_UP_S = 0.2


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer: when it came, from the run's start; its age then; and where its time went."""

    came_s: float
    age_s: float
    stages: StageTimes
    batch: int

    @property
    def finish_s(self) -> float:
        return self.stages.finish_s + self.stages.encode_s

    @property
    def carry_s(self) -> float:
        """What no stage took."""
        stages = self.stages
        return self.age_s - stages.wait_s - stages.decode_s - stages.infer_s - self.finish_s


def engine_costs(server_arguments: Sequence[str]) -> tuple[EngineSpec, CostCurve]:
    """What a server with these arguments runs, and its curve; opened here, and closed."""
    settings, _ = load(server_arguments)
    engine = next(iter(open_models(settings, Telemetry()))).engine
    curve = measure_costs(engine, time.monotonic)
    engine.close()
    return engine.spec, curve


def measure(server: Serving, spec: EngineSpec, curve: CostCurve, seconds: float) -> Costs:
    """Both runs, of so many seconds each."""
    picture = as_image(camera_jpeg())
    fps = min(_FASTEST_FPS, _SHARE_OF_A_LANE / max(1e-9, curve.cost_s(1)))
    alone = uvloop.run(_alone(server.grpc, picture, Schedule(fps, round(fps * seconds))))
    crowd = uvloop.run(_crowd(server.grpc, picture, seconds))
    settled_s = _SETTLING * seconds
    settled = [answer for answer in crowd if settled_s <= answer.came_s < seconds]
    settled.sort(key=lambda answer: answer.came_s)
    return costs_of(spec, curve, alone, settled)


def costs_of(
    spec: EngineSpec,
    curve: CostCurve,
    alone: Sequence[Timed],
    crowd: Sequence[Timed],
) -> Costs:
    """From the answers of a lone camera, and those of many in the order in which they came.

    At capacity a frame waits for as long as all before it were slower than was thought, so a small
    error grows: the time between batches is that from the first to the last, not a count in a time.
    """
    infer = Spread.of([answer.stages.infer_s / curve.cost_s(answer.batch) for answer in crowd])
    decode = Spread.of([answer.stages.decode_s for answer in crowd])
    finish = Spread.of([answer.finish_s for answer in crowd])
    batches = sum(1 / answer.batch for answer in crowd)
    between_s = (crowd[-1].came_s - crowd[0].came_s) / max(1.0, batches - 1)
    frames = len(crowd) / batches
    infer_s = sum(answer.stages.infer_s / answer.batch for answer in crowd) / batches
    parts_s = (infer_s, frames * decode.mean, frames * finish.mean)
    work_s = max(parts_s) if spec.overlap else sum(parts_s)
    return Costs(
        source=f"{spec.name} {spec.precision} on {describe_machine()}",
        curve=curve,
        infer=infer,
        decode=decode,
        finish=finish,
        carry=Spread.of([max(0.0, answer.carry_s) for answer in alone]),
        pause_s=max(0.0, spec.lanes * between_s - work_s),
        lanes=spec.lanes,
        overlap=spec.overlap,
    )


async def _alone(target: str, picture: Image, plan: Schedule) -> list[Timed]:
    """One camera, open loop."""
    start_s = time.monotonic() + _RUN_UP_S

    async def send(stream: Stream) -> None:
        for k in range(plan.frames):
            due_s = start_s + plan.due_s(k)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await stream.send(picture, captured_s=due_s)
        await stream.finish()

    async with camera_stream(target, OpenStream()) as stream:
        _, answers = await asyncio.gather(send(stream), _answers(stream, start_s))
    return answers


async def _crowd(target: str, picture: Image, seconds: float) -> list[Timed]:
    """Many cameras that keep frames under way."""
    start_s = time.monotonic() + _RUN_UP_S

    async def one() -> list[Timed]:
        room = asyncio.Semaphore(_IN_FLIGHT)

        async def send(stream: Stream) -> None:
            while time.monotonic() < start_s + seconds:
                await room.acquire()
                await stream.send(picture)
            await stream.finish()

        async with camera_stream(target, OpenStream(policy=Policy.ALL)) as stream:
            _, answers = await asyncio.gather(send(stream), _answers(stream, start_s, room))
        return answers

    each = await asyncio.gather(*(one() for _ in range(_CAMERAS)))
    return [answer for answers in each for answer in answers]


async def _answers(
    stream: Stream, start_s: float, room: asyncio.Semaphore | None = None
) -> list[Timed]:
    timed = []
    async for received in stream.answers():
        answer = received.answer
        if isinstance(answer, EncodedDepth):
            came_s = time.monotonic() - start_s
            timed.append(Timed(came_s, received.age_s, answer.stages, answer.batch_size))
        if room is not None:
            room.release()
    return timed
