"""How whole things are spoiled: again in the same way, bounded, and not so that nothing is left."""

import json

import numpy as np

from benchmarks.mutations import Tree, mutated, png, png_chunk, small_pictures, with_odd_value
from fathom.codecs.image import inspect, sniff
from fathom.values import Image, ImageEncoding, Limits

LIMITS = Limits(image_bytes=2**20, image_pixels=10**6, waiting_frames=1, streams=1)
WHOLE = bytes(range(256)) * 8


def test_the_same_seed_spoils_in_the_same_way() -> None:
    first, again = ([mutated(WHOLE, np.random.default_rng(3)) for _ in range(2)] for _ in range(2))
    assert first == again


def test_spoiled_bytes_are_mostly_others_and_never_much_longer() -> None:
    rng = np.random.default_rng(1)
    spoiled = [mutated(WHOLE, rng) for _ in range(300)]
    assert sum(data != WHOLE for data in spoiled) > 250
    # Four times doubled at most.
    assert max(map(len, spoiled)) <= 16 * len(WHOLE) + 32


def test_nothing_can_be_spoiled_too() -> None:
    rng = np.random.default_rng(2)
    assert all(len(mutated(b"", rng)) <= 32 for _ in range(100))


def test_one_part_of_a_tree_becomes_odd_and_the_rest_stays() -> None:
    tree: Tree = {"a": [1, 2, {"b": "c"}], "d": 0.5}
    rng = np.random.default_rng(4)
    odd = [with_odd_value(tree, rng) for _ in range(300)]
    assert tree == {"a": [1, 2, {"b": "c"}], "d": 0.5}
    assert all(json.dumps(one) for one in odd)
    changed = [one for one in odd if isinstance(one, dict) and set(one) == {"a", "d"}]
    assert len(changed) > 150
    assert all((one["a"] == tree["a"]) or (one["d"] == tree["d"]) for one in changed)


def test_the_pictures_to_be_spoiled_are_whole_and_of_every_form() -> None:
    pictures = small_pictures()
    forms = [sniff(data) for data in pictures]
    assert forms == [ImageEncoding.JPEG, ImageEncoding.PNG, ImageEncoding.WEBP]
    for form, data in zip(forms, pictures, strict=True):
        header = inspect(Image(encoding=form, data=data), LIMITS)
        assert header.size == (48, 64)


def test_a_chunk_has_the_sum_that_the_specification_says() -> None:
    """IEND's bytes are the same in every PNG."""
    assert png_chunk(b"IEND", b"") == bytes.fromhex("0000000049454e44ae426082")
    assert png(8, 6).endswith(png_chunk(b"IEND", b""))
