"""The Open Inference Protocol (KServe v2) as calls on the service: raw frames in, raw depth out.

Both doors of the protocol stand on this, so that clients written for Triton or KServe meet the same
scheduler as everybody else. Knows neither gRPC nor HTTP.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fathom import __version__
from fathom.errors import Code, FathomError
from fathom.values import (
    DepthEncoding,
    EncodedDepth,
    Frame,
    Image,
    ImageEncoding,
    LabelEncoding,
    OpenStream,
    Options,
)
from server.models import ServedModel
from server.service import Service
from server.statistics import Statistics

SERVER = "fathom"
PLATFORM = "fathom"
EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")
INPUT = "frames"
_DATATYPES = {INPUT: "UINT8", "depth_m": "FP32", "labels": "UINT8"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's name, type and shape; -1 is the batch, free."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inference:
    """One request.

    version  empty for the one that is served
    data     of the one input, row by row
    outputs  names of those wanted; empty for all
    """

    model: str
    version: str
    input: Tensor
    data: bytes
    outputs: tuple[str, ...]
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inferred:
    """The answer to one request: each output with its bytes, little-endian, row by row."""

    model: str
    version: int
    outputs: Sequence[tuple[Tensor, bytes]]


class V2:
    """The protocol over one service."""

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def server_version(self) -> str:
        return __version__

    @property
    def max_batch(self) -> int:
        """Frames of one request: as many as may wait of one stream."""
        return self.service.limits.waiting_frames

    @property
    def at_once(self) -> int:
        """Requests of one stream that are under way; the next are not read until one is answered.

        So many that even the largest fit into what may be open at once.
        """
        return max(1, self.service.limits.streams // self.max_batch)

    def model(self, name: str, version: str = "") -> ServedModel:
        """The model of that name, empty for the default; raises UNKNOWN_MODEL."""
        model = self.service.models.get(name)
        if version not in {"", str(model.card.version)}:
            raise FathomError(
                Code.UNKNOWN_MODEL,
                expected=f"version {model.card.version} of {model.card.name}",
                got=repr(version[:40]),
                repair="leave the version out for the one that is served",
            )
        return model

    def ready(self, name: str, version: str = "") -> bool:
        """Whether that model would answer now."""
        try:
            return self.service.ready() and self.model(name, version).healthy
        except FathomError:
            return False

    def inputs(self, model: ServedModel) -> tuple[Tensor, ...]:
        return (Tensor(INPUT, _DATATYPES[INPUT], (-1, *model.card.input_size, 3)),)

    def outputs(self, model: ServedModel) -> tuple[Tensor, ...]:
        shape = (-1, *model.card.input_size)
        return tuple(Tensor(name, _DATATYPES[name], shape) for name in model.card.outputs)

    def statistics(self, name: str = "", version: str = "") -> Mapping[ServedModel, Statistics]:
        """Of one model, or of all for an empty name."""
        models = [self.model(name, version)] if name else list(self.service.models)
        return {model: self._count(model) for model in models}

    async def infer(self, request: Inference, client: str) -> Inferred:
        """Every frame of the batch through the scheduler; all of them have depth, or an error says
        why one has not.

        raises  BAD_REQUEST, UNKNOWN_MODEL, and whatever a frame can fail with
        """
        model = self.model(request.model, request.version)
        height, width = model.card.input_size
        wanted = self._check(request, model)
        options = Options(
            depth_encoding=DepthEncoding.F32_M,
            labels=LabelEncoding.RAW8 if any(t.name == "labels" for t in wanted) else None,
        )
        opening = OpenStream(model=model.card.name, options=options, deadline_s=request.timeout_s)
        frame_bytes = height * width * 3
        # Streams of their own: a batch of the engine takes no two frames of one stream.
        answers = await asyncio.gather(
            *(
                self.service.predict(
                    Frame(
                        seq=0,
                        image=Image(
                            encoding=ImageEncoding.RGB8,
                            data=request.data[start : start + frame_bytes],
                            width_px=width,
                            height_px=height,
                        ),
                    ),
                    opening,
                    client=client,
                    timeout_s=request.timeout_s,
                )
                for start in range(0, len(request.data), frame_bytes)
            ),
            return_exceptions=True,
        )
        depths = []
        for answer in answers:
            if isinstance(answer, BaseException):
                self._count(model).failures += 1
                raise answer
            depths.append(answer)
            self._count(model).add(answer)
        return _assemble(depths, wanted)

    def _check(self, request: Inference, model: ServedModel) -> list[Tensor]:
        """The outputs wanted; raises BAD_REQUEST for what is not the model's."""
        [declared] = self.inputs(model)
        sent = request.input
        frames = sent.shape[0] if sent.shape else 0
        if (sent.name, sent.datatype, sent.shape[1:]) != (
            declared.name,
            declared.datatype,
            declared.shape[1:],
        ) or not 1 <= frames <= self.max_batch:
            raise FathomError(
                Code.BAD_REQUEST,
                expected=f"{_told(declared)}, 1 to {self.max_batch} frames",
                got=_told(sent)[:200],
                repair="resize pictures to the model's input, RGB, and send fewer at once",
            )
        size = frames
        for side in declared.shape[1:]:
            size *= side
        if len(request.data) != size:
            raise FathomError(
                Code.BAD_REQUEST,
                expected=f"{size} bytes for {_told(sent)}",
                got=f"{len(request.data)} bytes",
                repair="send one byte a channel, row by row, as raw tensor contents",
            )
        offered = {tensor.name: tensor for tensor in self.outputs(model)}
        for name in request.outputs:
            if name not in offered:
                raise FathomError(
                    Code.BAD_REQUEST,
                    expected=f"outputs among {', '.join(offered)}",
                    got=repr(name[:40]),
                    repair="ask the model's metadata for what it has",
                )
        names = request.outputs or tuple(offered)
        return [
            Tensor(name, offered[name].datatype, (frames, *offered[name].shape[1:]))
            for name in names
        ]

    def _count(self, model: ServedModel) -> Statistics:
        return self.service.statistics.setdefault(model.card.name, Statistics())


def _assemble(depths: Sequence[EncodedDepth], wanted: Sequence[Tensor]) -> Inferred:
    by_name = {
        "depth_m": b"".join(depth.data for depth in depths),
        "labels": b"".join(depth.labels for depth in depths),
    }
    return Inferred(
        model=depths[0].model,
        version=depths[0].version,
        outputs=[(tensor, by_name[tensor.name]) for tensor in wanted],
    )


def _told(tensor: Tensor) -> str:
    return f"{tensor.name} {tensor.datatype} {list(tensor.shape)}"
