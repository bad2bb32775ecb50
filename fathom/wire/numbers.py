"""What stands behind a number on the wire: enum members and seconds, both ways."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from fathom.errors import Code, FathomError
from fathom.values import DepthEncoding, ImageEncoding, LabelEncoding, Policy, SkipReason
from fathom.wire import depth_pb2 as pb

_E = TypeVar("_E", bound=StrEnum)
_N = TypeVar("_N", bound=int)


def _names(values: type[_E], prefix: str, numbers: Iterable[tuple[str, _N]]) -> dict[_E, _N]:
    """The wire number of every member: DepthEncoding.F16_M is DEPTH_ENCODING_F16_M."""
    by_name = dict(numbers)
    return {member: by_name[f"{prefix}_{member.name}"] for member in values}


IMAGE_ENCODING = _names(ImageEncoding, "IMAGE_ENCODING", pb.ImageEncoding.items())
DEPTH_ENCODING = _names(DepthEncoding, "DEPTH_ENCODING", pb.DepthEncoding.items())
LABEL_ENCODING = _names(LabelEncoding, "LABEL_ENCODING", pb.LabelEncoding.items())
POLICY = _names(Policy, "POLICY", pb.Policy.items())
SKIP_REASON = _names(SkipReason, "SKIP_REASON", pb.SkipReason.items())


def member(table: Mapping[_E, int], number: int, what: str) -> _E:
    """The member with that number on the wire; raises BAD_OPTION for a number of no member."""
    for found, known in table.items():
        if known == number:
            return found
    raise FathomError(
        Code.BAD_OPTION,
        expected=f"{what}: {', '.join(table)}",
        got=f"number {number}",
        repair="generate the client again from this server's depth.proto",
    )


def to_us(seconds: float) -> int:
    """Seconds to the wire's microseconds, kept within its 64 bits."""
    return min(max(0, round(seconds * 1e6)), 2**64 - 1)


def to_s(microseconds: int) -> float:
    """The wire's microseconds to seconds."""
    return microseconds / 1e6
