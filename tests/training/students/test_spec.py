"""From flags to a student."""

import pytest

from training.flags import parse
from training.settings import TrainSettings
from training.students.spec import StudentSpec
from training.students.student import Student

WORDS = ["--data", "nyu", "--out", "run"]


def spec_of(*words: str) -> StudentSpec:
    return parse(TrainSettings, [*WORDS, *words]).spec


def test_without_a_word_it_is_the_first_student() -> None:
    assert spec_of() == StudentSpec()


def test_flags_choose_encoder_decoder_head_and_classes() -> None:
    spec = spec_of(
        *("--encoder", "resnet18", "--decoder", "se5x5", "--head", "bins", "--classes", "13")
    )
    assert (spec.encoder, spec.decoder, spec.head, spec.classes) == (
        "resnet18", "se5x5", "bins", 13,
    )  # fmt: skip


def test_a_network_that_halves_its_picture_gets_twice_as_large_a_one_of_the_same_view() -> None:
    spec = spec_of("--decoder", "reference-002")
    assert (spec.height_px, spec.width_px, spec.focal_px) == (512, 640, 518.86)
    assert Student(spec).decoder.halves


@pytest.mark.parametrize(
    "words", [["--encoder", "vgg"], ["--classes", "12"], ["--head", "ordinal"]]
)
def test_other_kinds_are_misuse(words: list[str]) -> None:
    with pytest.raises(Exception, match=words[0].removeprefix("--")):
        spec_of(*words)
