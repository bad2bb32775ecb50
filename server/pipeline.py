"""One lane's work on a batch: decode, infer, finish, encode. Knows no stream, queue or door."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fathom.card import Card
from fathom.codecs.depth import encode_depth
from fathom.codecs.image import decode_into
from fathom.codecs.labels import encode_labels
from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB, Intrinsics, Letterbox, Size, focal_correction, resize_map
from fathom.values import EncodedDepth, Failed, Output, StageTimes
from server.core.scheduler import Ticket
from server.engines.engine import Engine, EngineFault, Outputs, TooLate

_log = logging.getLogger("fathom.server.pipeline")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inferred:
    """A frame between inference and its answer.

    frame            the network's input; the lane's own memory until `detached`
    depth_m, labels  the network's maps; the engine's own memory until `detached`
    """

    ticket: Ticket
    box: Letterbox
    frame: RGB
    depth_m: F32
    labels: NDArray[np.uint8] | None
    stages: StageTimes
    batch_size: int

    @property
    def output_size(self) -> Size:
        match self.ticket.options.output:
            case Output.NETWORK:
                return self.box.content_size
            case Output.SOURCE:
                return self.box.source_size
            case explicit:
                return explicit

    def detached(self) -> "Inferred":
        """A copy that outlives the lane's next batch."""
        labels = None if self.labels is None else self.labels.copy()
        frame = self.frame if self.ticket.smoother is None else self.frame.copy()
        return replace(self, frame=frame, depth_m=self.depth_m.copy(), labels=labels)


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame whose picture turned out to be broken."""

    ticket: Ticket
    failed: Failed


@dataclass(frozen=True, slots=True)
class _Decoded:
    ticket: Ticket
    box: Letterbox
    decode_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Decoded frames in one of a lane's buffers, and those that were broken."""

    slot: int
    decoded: list[_Decoded]
    refused: list[Refused]
    taken_s: float


class Pipeline:
    """One lane: its buffers are allocated once and written by the decoder itself.

    slots  batches that may be decoded or computed at once: 1, or 2 to decode ahead
    """

    def __init__(
        self,
        engine: Engine,
        lane: int,
        *,
        slots: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._lane = lane
        self._clock = clock
        spec = engine.spec
        self._frames = np.zeros((slots, spec.max_batch, *spec.input_size, 3), np.uint8)

    def decode(self, tickets: list[Ticket], slot: int = 0) -> Batch:
        """Decode frames into a buffer; one that cannot be decoded is refused alone."""
        batch = Batch(slot, [], [], self._clock())
        for ticket in tickets:
            before_s = self._clock()
            out = self._frames[slot, len(batch.decoded)]
            try:
                box = decode_into(ticket.frame.image, ticket.header, out)
            except FathomError as error:
                batch.refused.append(Refused(ticket, Failed.from_error(ticket.frame.seq, error)))
            else:
                batch.decoded.append(_Decoded(ticket, box, self._clock() - before_s))
        return batch

    def infer(self, batch: Batch) -> list[Inferred]:
        """Compute a decoded batch; raises EngineFault or TooLate if all of it failed."""
        if not batch.decoded:
            return []
        before_s = self._clock()
        outputs = self._run(self._frames[batch.slot, : len(batch.decoded)], _due_s(batch))
        infer_s = self._clock() - before_s
        return [
            Inferred(
                ticket=frame.ticket,
                box=frame.box,
                frame=self._frames[batch.slot, i],
                depth_m=outputs.depth_m[i],
                labels=None if outputs.labels is None else outputs.labels[i],
                stages=StageTimes(
                    wait_s=batch.taken_s - frame.ticket.arrived_s,
                    decode_s=frame.decode_s,
                    infer_s=infer_s,
                ),
                batch_size=len(batch.decoded),
            )
            for i, frame in enumerate(batch.decoded)
        ]

    def _run(self, frames: NDArray[np.uint8], due_s: float | None) -> Outputs:
        try:
            return self._engine.infer(frames, self._lane, due_s)
        except (EngineFault, TooLate):
            raise
        except Exception as error:
            # An engine is foreign code: whatever it throws fails the batch and not the server.
            _log.exception("engine.infer raised what is not an EngineFault")
            raise EngineFault(str(error)) from error


def finish(
    inferred: Inferred, card: Card, clock: Callable[[], float] = time.monotonic
) -> EncodedDepth:
    """Crop, smooth, resize, scale by focal length, and encode."""
    started_s = clock()
    ticket, box, options = inferred.ticket, inferred.box, inferred.ticket.options
    given = None if options.camera is None else options.camera.for_size(box.source_size)
    camera = given or Intrinsics.centred(card.focal_px / box.scale[1], box.source_size)
    size = inferred.output_size
    depth_m = box.extract(inferred.depth_m)
    if ticket.smoother is not None:
        depth_m = ticket.smoother.smooth(depth_m, inferred.frame[box.content])
    if size != box.content_size:
        depth_m = resize_map(depth_m, size)
    if given is not None:
        factor = np.float32(focal_correction(given, box, card.focal_px))
        depth_m = np.multiply(depth_m, factor, dtype=np.float32)
    labels = b""
    if options.labels is not None and inferred.labels is not None:
        class_ids = np.ascontiguousarray(box.extract_labels(inferred.labels, size))
        labels = encode_labels(class_ids, options.labels)
    finished_s = clock()
    data = encode_depth(np.ascontiguousarray(depth_m), options.depth_encoding, options.colours)
    encoded_s = clock()
    return EncodedDepth(
        seq=ticket.frame.seq,
        encoding=options.depth_encoding,
        width_px=size[1],
        height_px=size[0],
        data=data,
        camera=camera.resized(box.source_size, size),
        focal_given=given is not None,
        model=card.name,
        version=card.version,
        labels=labels,
        label_encoding=options.labels if labels else None,
        stages=replace(
            inferred.stages, finish_s=finished_s - started_s, encode_s=encoded_s - finished_s
        ),
        batch_size=inferred.batch_size,
    )


def _due_s(batch: Batch) -> float | None:
    """When the last frame of a batch is due; None if one of them never is."""
    due_s = [frame.ticket.due_s for frame in batch.decoded]
    known_s = [each_s for each_s in due_s if each_s is not None]
    return max(known_s) if len(known_s) == len(due_s) else None


def engine_failed(ticket: Ticket) -> Failed:
    """The answer to a frame whose batch the engine failed."""
    return Failed(
        seq=ticket.frame.seq,
        code=Code.ENGINE_FAULT,
        expected="depth from the engine",
        got="a fault of the engine",
        repair="send the next frame; the server's log says more",
    )
