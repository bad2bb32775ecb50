"""Recipes by name, joined, and what they ask of settings."""

from dataclasses import replace
from pathlib import Path

import pytest

from fathom.errors import Code, FathomError
from training.flags import parse
from training.prepare import recipe_of
from training.recipes import RECIPES, compose
from training.schedules import Poly
from training.settings import TrainSettings


def chosen(*flags: str) -> TrainSettings:
    return parse(TrainSettings, ["--data", "d", "--out", "o", *flags]).with_preset()


def names(recipe: str, *flags: str) -> list[str]:
    return [term.name for term in recipe_of(chosen("--recipe", recipe, *flags)).terms]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_ready_once_it_has_what_it_requires(name: str) -> None:
    given = [f"--{field.replace('_', '-')}=x" for field in RECIPES[name].requires]
    settings = chosen("--recipe", name, *given)
    assert recipe_of(settings).terms
    preset = RECIPES[name].preset
    assert {key: getattr(settings, key) for key in preset} == dict(preset)


def test_joined_recipes_have_the_terms_of_both_once() -> None:
    assert names("supervised+cross-task-kd") == ["silog", "log_gradient", "segmentation"]
    joined = chosen("--recipe", "auxiliary-kd+cross-task-kd")
    assert (joined.classes, joined.teacher) == (13, "ensemble")


def test_classes_weigh_what_is_said_and_only_where_there_are_any() -> None:
    recipe = recipe_of(chosen("--recipe", "auxiliary-kd+cross-task-kd", "--labels-weight", "0.5"))
    assert {term.name: term.weight(0.5) for term in recipe.terms}["segmentation"] == 0.5
    with pytest.raises(FathomError, match="a recipe that names classes") as caught:
        recipe_of(chosen("--recipe", "supervised", "--labels-weight", "0.5"))
    assert caught.value.code is Code.BAD_SETTING


def test_a_teacher_speaks_of_depth_alone() -> None:
    """Classes are not mixed with anything a teacher says."""
    found = names("auxiliary-kd+cross-task-kd", "--teacher-weights", "w")
    assert found == [
        "silog_truth",
        "silog_teacher",
        "log_gradient_truth",
        "log_gradient_teacher",
        "segmentation",
    ]


def test_two_companions_do_not_go_together() -> None:
    other = replace(compose("spatial-kd"), name="other")
    with pytest.raises(FathomError, match="got spatial-kd\\+other") as caught:
        compose("spatial-kd").joined(other)
    assert caught.value.code is Code.BAD_SETTING


def test_a_flag_goes_before_the_recipe_s_schedule() -> None:
    assert isinstance(recipe_of(chosen("--schedule", "poly")).learning_rate, Poly)
    assert not isinstance(recipe_of(chosen()).learning_rate, Poly)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(FathomError, match="one of supervised, auxiliary-kd"):
        chosen("--recipe", "supervised+magic")


def test_switches_can_be_turned_off() -> None:
    assert not chosen("--no-labelled", "--data", str(Path("x"))).labelled
