"""Which GPUs a plan may be built for, by their compute capability, before anything is built."""

from collections.abc import Sequence
from typing import TypeAlias

from fathom.errors import Code, FathomError

Capability: TypeAlias = tuple[int, int]

# What `tensorrt_rtx.ComputeCapability` of 1.7 names and its vendor's support matrix lists.
RTX: tuple[Capability, ...] = ((7, 5), (8, 6), (8, 9), (12, 0), (12, 1))
_ELSEWHERE = "for {} build --targets tensorrt where that GPU is, or serve it with --engine torch"


def parse_capabilities(text: str) -> tuple[Capability, ...]:
    """`8.6,8.9` as pairs, in rising order; raises BAD_OPTION."""
    try:
        pairs = {tuple(map(int, word.strip().split("."))) for word in text.split(",")}
        found = sorted((major, minor) for major, minor in pairs)
    except ValueError as error:
        raise FathomError(
            Code.BAD_OPTION,
            expected="compute capabilities such as 8.6,8.9,12.0",
            got=repr(text),
            repair="look yours up with: nvidia-smi --query-gpu=compute_cap --format=csv",
        ) from error
    return tuple(found)


def check_rtx(asked: Sequence[Capability]) -> None:
    """Refuse what TensorRT-RTX cannot build for, with what can be used; raises NOT_AVAILABLE."""
    wrong = [each for each in asked if each not in RTX]
    if wrong or not asked:
        named = as_text(wrong)
        raise FathomError(
            Code.NOT_AVAILABLE,
            expected=f"compute capabilities of TensorRT-RTX: {as_text(RTX)}",
            got=named or "none",
            repair=_ELSEWHERE.format(named) if wrong else "name at least one",
        )


def check_here(asked: Sequence[Capability], here: Capability | None) -> None:
    """TensorRT itself builds for the GPU it runs on and no other; raises NOT_AVAILABLE.

    here  the capability of this machine's GPU, None without one
    """
    if here is None or tuple(asked) not in {(), (here,)}:
        raise FathomError(
            Code.NOT_AVAILABLE,
            expected="a GPU to build on, of the compute capability that is asked for",
            got=f"{as_text(asked) or 'none'} asked for, {as_text([here] if here else [])} here",
            repair="build on that GPU, or take --targets tensorrt-rtx, which needs none",
        )


def as_text(capabilities: Sequence[Capability]) -> str:
    """`8.6, 8.9`"""
    return ", ".join(f"{major}.{minor}" for major, minor in capabilities)
