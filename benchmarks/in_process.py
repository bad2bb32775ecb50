"""Decode, infer, finish and encode without a server: as fast as this code goes on this machine.

    python -m benchmarks.in_process --lanes 2 --engine null

A process of its own. Reads a number of frames from standard input, computes so many in as many
threads as there are lanes, prints frames/s; until the input ends.
"""

import argparse
import itertools
import sys
import threading
import time
from collections.abc import Callable, Sequence

from benchmarks.pictures import camera_jpeg
from fathom.allocator import keep_freed_memory
from fathom.codecs.image import inspect
from fathom.values import EncodedDepth, Frame, Image, ImageEncoding, Limits, Options
from server.core.scheduler import Ticket
from server.models import ServedModel, open_models
from server.pipeline import Pipeline, finish
from server.settings import load
from server.telemetry import Telemetry

READY = "ready"
_WARM_UP = 30


def main(argv: list[str] | None = None) -> int:
    """Answer each number of frames with frames/s."""
    keep_freed_memory()
    parser = argparse.ArgumentParser("python -m benchmarks.in_process", allow_abbrev=False)
    parser.add_argument("--lanes", type=int, default=1, help="threads that compute (%(default)s)")
    arguments, settings_arguments = parser.parse_known_args(argv)
    settings, _ = load([f"--lanes={arguments.lanes}", *settings_arguments])
    model = next(iter(open_models(settings, Telemetry())))
    picture = camera_jpeg()
    paths = [whole_path(model, picture, lane) for lane in range(arguments.lanes)]
    saturate(paths, _WARM_UP)
    print(READY, flush=True)
    for line in sys.stdin:
        print(saturate(paths, int(line)), flush=True)
    model.engine.close()
    return 0


def whole_path(model: ServedModel, picture: bytes, lane: int = 0) -> Callable[[], object]:
    """What a lane does for this picture, as a call."""
    run = path_of(model, lane)
    return lambda: run(picture)


def path_of(model: ServedModel, lane: int) -> Callable[[bytes], EncodedDepth]:
    """What a lane does for one JPEG: decode, infer, finish and encode."""
    pipeline = Pipeline(model.engine, lane)

    def run(picture: bytes) -> EncodedDepth:
        image = Image(encoding=ImageEncoding.JPEG, data=picture)
        ticket = Ticket(
            stream=0,
            frame=Frame(seq=0, image=image),
            header=inspect(image, Limits()),
            options=Options(),
            arrived_s=0.0,
            due_s=None,
        )
        (inferred,) = pipeline.infer(pipeline.decode([ticket]))
        return finish(inferred, model.card)

    return run


def saturate(calls: Sequence[Callable[[], object]], times: int) -> float:
    """Make so many calls in all, each kind in a thread of its own; calls a second."""
    numbers = itertools.count()

    def work(call: Callable[[], object]) -> None:
        while next(numbers) < times:
            call()

    threads = [threading.Thread(target=work, args=(call,)) for call in calls]
    before_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times / (time.perf_counter() - before_s)


if __name__ == "__main__":
    sys.exit(main())
