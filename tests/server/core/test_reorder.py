"""Answers leave in frame order, once each, whatever the order they were decided in."""

from hypothesis import given
from hypothesis import strategies as st

from server.core.reorder import Reorder


@given(st.integers(1, 40).flatmap(lambda n: st.permutations(range(n))))
def test_any_order_of_deciding_leaves_in_frame_order_and_once(order: list[int]) -> None:
    reorder: Reorder[str] = Reorder()
    for seq in range(len(order)):
        reorder.expect(seq)
    left = [answer for seq in order for answer in reorder.settle(seq, f"answer {seq}")]
    assert left == [f"answer {seq}" for seq in range(len(order))]
    assert len(reorder) == 0


@given(st.data())
def test_nothing_is_held_back_longer_than_its_elders(data: st.DataObject) -> None:
    """Frames arrive while others are decided; what has left is always the longest decided run."""
    reorder: Reorder[int] = Reorder()
    expected, decided, left = 0, set[int](), list[int]()
    for arrives in data.draw(st.lists(st.booleans(), max_size=60)):
        open_frames = sorted(set(range(expected)) - decided)
        if arrives or not open_frames:
            reorder.expect(expected)
            expected += 1
        else:
            seq = data.draw(st.sampled_from(open_frames))
            decided.add(seq)
            left += reorder.settle(seq, seq)
        run = next((seq for seq in range(expected) if seq not in decided), expected)
        assert left == list(range(run))
        assert len(reorder) == expected - run
