"""Decoders side by side: medians and ratios by hand; nothing is timed."""

import pytest

from benchmarks.decoders import ENCODERS, compared, name_of


def test_each_round_is_held_against_the_reference_of_its_own_round() -> None:
    seconds = {}
    for encoder in ENCODERS:
        seconds[name_of(encoder, "slim")] = [0.004, 0.005, 0.010]
        seconds[name_of(encoder, "reference-002")] = [0.024, 0.025, 0.080]
    found = compared(seconds, "slim", "reference-002")
    assert found.ms["resnet18 slim"] == 5 and found.fps["resnet18 reference-002"] == 40
    # Rounds of 6, 5 and 8 times; the medians of each alone would make it 5.
    assert len(found.times_as_fast) == 4 and set(found.times_as_fast.values()) == {6.0}
    pair = "mobilenet-v2 slim over resnet18 reference-002"
    assert found.times_as_fast_of_rounds[pair] == pytest.approx([6, 5, 8])
