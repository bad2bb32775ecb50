"""One node by hand: what is served, how old, in lanes that overlap and in lanes that do not."""

from dataclasses import replace

import pytest

from benchmarks.fleet import lane
from benchmarks.fleet.books import Books
from benchmarks.fleet.costs import Costs, Spread, fixed_costs
from benchmarks.fleet.fleet import Scene, simulate
from server import handoff


def played(costs: Costs, *, fps: float, seconds: float, cameras: int = 1) -> Books:
    scene = Scene(cameras=cameras, fps=fps, nodes=1, seconds=seconds, spread=False)
    return simulate(scene, costs).books


def test_a_camera_slower_than_its_node_gets_every_frame() -> None:
    """5 ms there, 40 ms of work, 5 ms back."""
    books = played(fixed_costs({1: 0.040}, carry_s=0.010), fps=10, seconds=2)
    assert books.outcomes == {"answered": 20}
    assert books.ages_s == pytest.approx([0.050] * 20)


def test_a_camera_faster_than_its_node_gets_its_newest_frames() -> None:
    """Frames each 100 ms, 160 ms of work: taken at 0, 160, 320, 480 and 640 ms.

    At 320 ms frame 3 has replaced frame 2, and at 640 ms frame 6 has replaced frame 5.
    """
    books = played(fixed_costs({1: 0.160}), fps=10, seconds=0.7)
    assert books.outcomes == {"answered": 5, "skipped_superseded": 2}
    assert books.captured_s == pytest.approx([0, 0.1, 0.3, 0.4, 0.6])
    assert books.ages_s == pytest.approx([0.16, 0.22, 0.18, 0.24, 0.20])


def test_cameras_in_an_overload_get_the_same() -> None:
    """Four cameras ask for 400 frames in 10 s of a node that does 100."""
    books = played(fixed_costs({1: 0.100}), fps=10, seconds=10, cameras=4)
    assert books.answered.max() - books.answered.min() <= 1
    assert books.answered.sum() == pytest.approx(100, abs=4)
    assert books.sums_agree


def test_two_lanes_do_twice_as_much() -> None:
    books = played(fixed_costs({1: 0.100}, lanes=2), fps=20, seconds=5, cameras=2)
    assert books.outcomes["answered"] == pytest.approx(100, abs=2)


def test_a_batch_that_pays_is_taken() -> None:
    """Two frames cost what one does. While camera 0's first is computed, both send: one batch."""
    books = played(fixed_costs({1: 0.100, 2: 0.100}), fps=10, seconds=0.2, cameras=2)
    # Frame 0 of camera 0 at 0; then frame 1 of camera 0 (100 ms) and frame 0 of camera 1 (50 ms).
    assert sorted(books.ages_s) == pytest.approx([0.100, 0.100, 0.150, 0.150])
    assert books.outcomes == {"answered": 4}


def overlapping() -> Costs:
    """20 ms of decoding, 100 ms on the device, 30 ms of finishing."""
    costs = fixed_costs({1: 0.100}, overlap=True)
    return replace(costs, decode=Spread.fixed(0.020), finish=Spread.fixed(0.030))


def test_a_lane_that_overlaps_takes_its_next_frame_just_before_the_device_is_free() -> None:
    """Taken at 0; on the device from 20 to 120 ms; answered at 150 ms.

    Decoding took 20 ms, of which a tenth is believed: the next is taken at 120 - 2 - 1 ms, by when
    frame 11 is the newest. It is decoded at 137, computed at 237 and answered at 267 ms.
    """
    books = played(overlapping(), fps=100, seconds=0.2)
    assert books.captured_s[:2] == pytest.approx([0, 0.11])
    assert books.ages_s[:2] == pytest.approx([0.150, 0.157])


def test_a_lane_that_overlaps_believes_what_the_servers_handoff_believes() -> None:
    assert (lane.MARGIN_S, lane.LEAD_WEIGHT) == (handoff._MARGIN_S, handoff._LEAD_WEIGHT)


def test_a_lane_that_overlaps_learns_to_decode_ahead() -> None:
    """In the end the device hardly waits: a frame each 100 ms and not each 150."""
    books = played(overlapping(), fps=100, seconds=20)
    received_s = books.captured_s + books.ages_s
    assert received_s[-1] - received_s[-11] == pytest.approx(1.0, abs=0.05)


def test_a_device_waits_for_a_finisher_that_is_slower() -> None:
    """Finishing takes 300 ms a frame: 30 in 9 s are served, and four lie between."""
    slow = replace(overlapping(), finish=Spread.fixed(0.300))
    books = played(slow, fps=100, seconds=9)
    assert (books.captured_s + books.ages_s < 9).sum() == pytest.approx(30, abs=1)
    # Taken 80 ms after the one before it went to the device, whose way out takes it three more
    # finishings: one is being finished, one handed over, and the device cannot let go of one.
    assert books.ages_s[10:20] == pytest.approx([4 * 0.300 - 0.080] * 10, abs=0.01)


def test_a_pause_between_batches_is_capacity_lost() -> None:
    costs = replace(fixed_costs({1: 0.040}), pause_s=0.010)
    books = played(costs, fps=100, seconds=10)
    assert books.outcomes["answered"] == pytest.approx(200, abs=2)
