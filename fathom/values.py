"""The words that client and server share, as values. Knows no clock, no socket and no encoding.

Depth is along the optical axis, in metres, `float32`, NaN where there is no answer. Durations are
seconds. Pictures are RGB `uint8` `(H, W, 3)`. Values that hold arrays or bytes compare by identity.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fathom.errors import Code, FathomError
from fathom.geometry import F32, Camera, Intrinsics, Size

MAX_OUTPUT_PIXELS = 50_000_000
MAX_OUTPUT_SIDE_PX = 16_384  # as of pictures; no JPEG has more than 65535


class ImageEncoding(StrEnum):
    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    RGB8 = "rgb8"
    BGR8 = "bgr8"
    GRAY8 = "gray8"


class DepthEncoding(StrEnum):
    U16_MM = "u16_mm"
    F16_M = "f16_m"
    F32_M = "f32_m"
    PNG16_MM = "png16_mm"
    ZSTD_U16_MM = "zstd_u16_mm"
    JPEG_COLOUR = "jpeg_colour"


class LabelEncoding(StrEnum):
    RAW8 = "raw8"
    PNG8 = "png8"
    ZSTD8 = "zstd8"


class Output(StrEnum):
    """Size of the answer: the picture's part of the network's map, or the picture's own size."""

    NETWORK = "network"
    SOURCE = "source"


class Policy(StrEnum):
    """What a stream wants when frames come faster than answers."""

    LATEST = "latest"
    ALL = "all"
    EVERY_N = "every_n"


class SkipReason(StrEnum):
    SUPERSEDED = "superseded"
    DEADLINE = "deadline"
    PREDICTED_LATE = "predicted_late"
    POLICY = "policy"
    SLOW_READER = "slow_reader"
    OVER_RATE = "over_rate"
    SHUTDOWN = "shutdown"


class ColourMap(StrEnum):
    TURBO = "turbo"
    MAGMA = "magma"
    VIRIDIS = "viridis"
    GREY = "grey"


@dataclass(frozen=True, slots=True)
class Colours:
    """How depth becomes a picture, over a fixed range: one that follows each frame flickers."""

    map: ColourMap = ColourMap.TURBO
    near_m: float = 0.5
    far_m: float = 6.0

    def __post_init__(self) -> None:
        if not 0 <= self.near_m < self.far_m < float("inf"):
            raise FathomError(
                Code.BAD_OPTION,
                expected="0 <= near < far, in metres",
                got=f"near={self.near_m:g} far={self.far_m:g}",
                repair="give the nearest and the farthest distance to tell apart by colour",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What an answer should be; the same on every door.

    camera  of the picture as sent, upright; None lets the network's own focal length be assumed
    """

    depth_encoding: DepthEncoding = DepthEncoding.U16_MM
    output: Output | Size = Output.NETWORK
    labels: LabelEncoding | None = None
    smoothing: float = 0.0
    camera: Camera | None = None
    colours: Colours = field(default_factory=Colours)

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing <= 1:
            raise FathomError(
                Code.BAD_OPTION,
                expected="a smoothing strength from 0 (off) to 1",
                got=f"{self.smoothing:g}",
                repair="leave it out, or try 0.5",
            )
        if not isinstance(self.output, Output) and not (
            1 <= min(self.output) <= max(self.output) <= MAX_OUTPUT_SIDE_PX
            and self.output[0] * self.output[1] <= MAX_OUTPUT_PIXELS
        ):
            raise FathomError(
                Code.BAD_OPTION,
                expected=f"an output of 1 to {MAX_OUTPUT_SIDE_PX} pixels a side"
                f" and at most {MAX_OUTPUT_PIXELS} in all",
                got=f"{self.output[1]}x{self.output[0]}",
                repair="ask for the size you will use; the network itself sees about 256x320",
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Image:
    """A picture as it travels. Sizes and row stride (bytes) matter for raw encodings only."""

    encoding: ImageEncoding
    data: bytes
    width_px: int = 0
    height_px: int = 0
    row_stride: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """A picture with its place in a stream.

    age_s       how long ago it was captured, at the moment of sending
    deadline_s  time left for its answer, or None for as long as it takes
    """

    seq: int
    image: Image
    age_s: float = 0.0
    deadline_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Where the time of one frame went, in seconds."""

    wait_s: float = 0.0
    decode_s: float = 0.0
    infer_s: float = 0.0
    finish_s: float = 0.0
    encode_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedDepth:
    """An answer with depth, as it travels.

    camera       intrinsics in pixels of this map, used to scale the metres
    focal_given  True if the caller gave the camera, False if the network's own was assumed
    age_s        from capture to the moment the answer was handed to the transport
    """

    seq: int
    encoding: DepthEncoding
    width_px: int
    height_px: int
    data: bytes
    camera: Intrinsics
    focal_given: bool
    model: str
    version: int
    labels: bytes = b""
    label_encoding: LabelEncoding | None = None
    stages: StageTimes = StageTimes()
    batch_size: int = 1
    age_s: float = 0.0

    @property
    def wire_bytes(self) -> int:
        """What it weighs on its way, within a few dozen bytes."""
        return len(self.data) + len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DepthMap:
    """An answer with depth, decoded: `depth_m` (H, W) float32, labels (H, W) where asked for."""

    seq: int
    depth_m: F32
    camera: Intrinsics
    focal_given: bool
    model: str
    version: int
    labels: NDArray[np.uint8] | None = None
    stages: StageTimes = StageTimes()
    batch_size: int = 1
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An answer without depth, by decision: why, and which newer frame took its place."""

    seq: int
    reason: SkipReason
    superseded_by: int | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """An answer without depth, by error: a row of the error table with its explanation."""

    seq: int
    code: Code
    expected: str
    got: str
    repair: str
    age_s: float = 0.0

    @classmethod
    def from_error(cls, seq: int, error: FathomError, age_s: float = 0.0) -> "Failed":
        return cls(
            seq=seq,
            code=error.code,
            expected=error.expected,
            got=error.got,
            repair=error.repair,
            age_s=age_s,
        )

    def as_error(self) -> FathomError:
        return FathomError(self.code, expected=self.expected, got=self.got, repair=self.repair)


Verdict: TypeAlias = Skipped | Failed
ServerAnswer: TypeAlias = EncodedDepth | Skipped | Failed
Answer: TypeAlias = DepthMap | Skipped | Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server takes: bounds on one image and on one stream."""

    image_bytes: int = 16 * 2**20
    image_pixels: int = 50_000_000
    side_px: int = 16_384
    waiting_frames: int = 8
    streams: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStream:
    """What a client asks for when it opens a stream. An empty model name means the default one."""

    model: str = ""
    name: str = ""
    policy: Policy = Policy.LATEST
    every_n: int = 1
    options: Options = field(default_factory=Options)
    deadline_s: float | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The server's yes to a stream."""

    stream_id: int
    model: str
    version: int
    limits: Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """The last word of a stream: why it ends and what became of its frames.

    counts  frames by outcome; their sum is the number of frames received
    """

    code: Code | None
    reason: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One model a server offers."""

    name: str
    version: int
    summary: str
    input_size: Size
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    focal_px: float
    range_m: tuple[float, float]
    class_colours: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a server is: its models, limits and engine."""

    server_version: str
    models: tuple[ModelInfo, ...]
    depth_encodings: tuple[DepthEncoding, ...]
    image_encodings: tuple[ImageEncoding, ...]
    limits: Limits
    engine: str
    device: str
    precision: str
