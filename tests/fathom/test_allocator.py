"""Freed blocks of a frame's size stay, so that the next frame meets no fresh pages."""

import ctypes
import subprocess
import sys

import pytest

from fathom.allocator import keep_freed_memory

# Page faults of a thousand messages, one after the other, each with a picture of 240 KiB.
MESSAGES = """
import resource
from fathom.allocator import keep_freed_memory
from fathom.wire import depth_pb2 as pb

KEEP
picture = bytes(245_760)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(1000):
    pb.Image(data=picture).SerializeToString()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: str) -> int:
    command = [sys.executable, "-c", MESSAGES.replace("KEEP", keep)]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_a_thousand_pictures_meet_few_fresh_pages() -> None:
    assert faults("keep_freed_memory()") < 5_000 < 50_000 < faults("")


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # noqa: ARG005
    assert keep_freed_memory() is False
