"""What a student is made of, as a value: stored in every checkpoint, read before any weight."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from fathom.errors import Code, FathomError

EncoderName: TypeAlias = Literal[
    "mobilenet-v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101",
    "efficientnet-b0",
    "efficientnet-b4",
]
DecoderName: TypeAlias = Literal["slim", "reference-002", "se5x5"]
HeadName: TypeAlias = Literal["metric", "bins", "relative"]
ClassCount: TypeAlias = Literal[0, 13]


class Taps(StrEnum):
    """Which feature maps a decoder wants of an encoder."""

    ENDS = "ends"  # the last of each stride from 2 to 32
    EXPANDED = "expanded"  # the same strides; inside an inverted residual, where it is widest
    SHORT = "short"  # strides 4 to 32, without the layers that widen for a classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentSpec:
    """Everything that decides a student's shape and units. Defaults are those of the first student,
    whose files name no encoder, decoder, head or classes.

    height_px, width_px  the network input
    focal_px             focal length, at network size, of the one camera whose metres are learned
    min_m, max_m         the range the head can express
    widths               slim decoder's, finest first; their number sets the stride of the head
    dropout              slim decoder's, share of coarsest channels
    classes              0: no segmentation head
    attention            stripes in which an encoder's channels attend to each other, at strides 4
                         to 32; 0: they do not
    metric_scale         False: depth up to one unknown factor, as learned from motion alone
    detail               a base from the picture at half size, and what it lacks at full size
    raises               BAD_MODEL for a kind that is not known, or detail without what it needs
    """

    height_px: int = 256
    width_px: int = 320
    focal_px: float = 259.43  # Kinect of NYU Depth V2: 518.86 at 640 wide
    min_m: float = 0.2
    max_m: float = 12.0
    widths: tuple[int, ...] = (16, 32, 64, 128, 256)
    dropout: float = 0.1
    encoder: EncoderName = "mobilenet-v2"
    decoder: DecoderName = "slim"
    head: HeadName = "metric"
    classes: ClassCount = 0
    attention: int = 0
    detail: bool = False
    metric_scale: bool = True

    def __post_init__(self) -> None:
        kinds = {
            "encoder": EncoderName,
            "decoder": DecoderName,
            "head": HeadName,
            "classes": ClassCount,
        }
        for field, kind in kinds.items():
            if getattr(self, field) not in get_args(kind):
                raise FathomError(
                    Code.BAD_MODEL,
                    expected=f"{field} one of {', '.join(map(str, get_args(kind)))}",
                    got=repr(getattr(self, field)),
                    repair="use a version that knows this student, or train one of these",
                )

        alone = (self.decoder, self.head, self.classes) == ("slim", "metric", 0)
        halves = self.height_px % 64 == self.width_px % 64 == 0  # of which an encoder takes 32nds
        if self.detail and not (alone and halves):
            raise FathomError(
                Code.BAD_MODEL,
                expected="detail with the slim decoder, the metric head, no classes, and 64ths",
                got=f"decoder={self.decoder}, head={self.head}, classes={self.classes}, "
                f"{self.width_px}x{self.height_px}",
                repair="leave --detail out, or those",
            )

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "StudentSpec":
        """The spec that `asdict` and JSON made `told` of; a field that it lacks has its default.

        raises  KeyError, TypeError for what is none, and as above
        """
        return cls(**{**told, "widths": tuple(told["widths"])})

    def require_metres(self, whose: Path) -> None:
        """Everything after training is told metres: raises BAD_MODEL for a student that has none.

        whose  file, for the message
        """
        if self.head == "relative" or not self.metric_scale:
            raise FathomError(
                Code.BAD_MODEL,
                expected="a student of metric depth",
                got=f"{whose}, whose depth is known up to "
                + ("scale and shift" if self.head == "relative" else "one factor"),
                repair="train with --head metric or bins on data that has metres",
            )

    def enlarged(self, factor: int) -> "StudentSpec":
        """The same view of the same camera in more pixels."""
        return replace(
            self,
            height_px=self.height_px * factor,
            width_px=self.width_px * factor,
            focal_px=self.focal_px * factor,
        )
