"""What a server holds while nobody visits, seen from outside, and waiting until it does."""

import time
from dataclasses import dataclass

from benchmarks.serving import Serving
from benchmarks.watch import read_page, total
from fathom import metrics

# A server that has not let go by then does not.
_CALM_S = 60.0
_LOOK_EVERY_S = 0.2
# What is the same for so many looks has settled.
_SAME_LOOKS = 10


@dataclass(frozen=True, slots=True)
class Held:
    """What a server holds while nobody visits."""

    resident_mib: float
    threads: int
    descriptors: int
    streams: int
    waiting_frames: int

    def as_before(self, before: "Held") -> bool:
        """Whether threads and descriptors are no more than they were then."""
        return self.threads <= before.threads and self.descriptors <= before.descriptors

    def promises(self, before: "Held") -> dict[str, bool]:
        """What must be true of a server that everybody has left, in words, and whether it is."""
        return {
            f"threads {before.threads} -> {self.threads}": self.threads <= before.threads,
            f"descriptors {before.descriptors} -> {self.descriptors}": (
                self.descriptors <= before.descriptors
            ),
            f"{self.streams} streams and {self.waiting_frames} frames are left": (
                self.streams == 0 and self.waiting_frames == 0
            ),
        }


def calm(server: Serving, before: Held | None = None) -> Held:
    """What the server holds once it lets no more go, or holds no more than before."""
    held, same = _held(server), 0
    end_s = time.monotonic() + _CALM_S
    while time.monotonic() < end_s:
        time.sleep(_LOOK_EVERY_S)
        last, held = held, _held(server)
        same = same + 1 if held.as_before(last) and last.as_before(held) else 0
        if held.streams == 0 and (
            same >= _SAME_LOOKS if before is None else held.as_before(before)
        ):
            break
    return held


def _held(server: Serving) -> Held:
    # Before the page is asked for: its connection is one more.
    threads, descriptors = server.threads, server.descriptors
    page = read_page(server)
    return Held(
        resident_mib=server.resident_mib,
        threads=threads,
        descriptors=descriptors,
        streams=int(total(page, metrics.STREAMS)),
        waiting_frames=int(total(page, metrics.WAITING_FRAMES)),
    )
