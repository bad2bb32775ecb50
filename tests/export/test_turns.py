"""The order of turns; nothing is timed."""

from export.turns import in_turns


def test_all_take_a_turn_in_every_round() -> None:
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    seconds = in_turns(calls, rounds=3, calls=1)
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}
    turns = [name for i, name in enumerate(order) if i == 0 or order[i - 1] != name]
    assert turns == ["a", "b"] * 3
