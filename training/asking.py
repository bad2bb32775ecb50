"""Who is asked about pictures before a run, and what of it is put beside each sample.

A teacher about the whole picture, and for refined patches our own frozen student with a teacher;
either, both or none. Everybody sees the whole picture: METER reads its scale from the border.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from fathom.errors import Code, FathomError
from fathom.geometry import F32, RGB
from training.data.sample import Sample
from training.recipes.recipe import Recipe
from training.settings import TrainSettings
from training.teachers.cache import TargetCache
from training.teachers.choice import open_teacher
from training.teachers.own import OwnStudent
from training.teachers.patched import Patched
from training.teachers.teacher import Teacher, Unit, metres_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Their answers, on disk; None for what no term needs."""

    taught: TargetCache | None = None
    refined: TargetCache | None = None

    def build(self, pictures: Callable[[], Iterable[RGB]], total: int) -> None:
        """Ask whatever is not on disk yet."""
        for cache in (self.taught, self.refined):
            if cache is not None:
                cache.build(pictures(), total)

    def __call__(self, sample: Sample) -> Sample:
        """The sample with the answers beside it; metres are restated for its camera."""

        def answer(cache: TargetCache | None) -> F32 | None:
            return None if cache is None else metres_of(cache(sample.image), sample.focal_px)

        return replace(sample, taught=answer(self.taught), refined=answer(self.refined))


def open_asked(settings: TrainSettings, recipe: Recipe) -> Asked:
    """Those whom the recipe's terms need.

    raises  BAD_SETTING if one is missing, or given and not needed; BAD_MODEL for a bad file
    """
    taught, refined = recipe.needs("taught"), recipe.needs("refined")
    if not taught and not refined:
        refuse_idle(settings)
        return Asked()
    teacher = named_teacher(settings)
    folder = settings.teacher_cache or settings.out / "taught"
    return Asked(
        taught=TargetCache(metric(settings, teacher), folder) if taught else None,
        # At the picture's own size: what patches add is detail.
        refined=TargetCache(patched(settings, teacher), folder, shrink=1) if refined else None,
    )


def refuse_idle(settings: TrainSettings) -> None:
    """A teacher or pictures without a term that uses them."""
    if settings.teacher or settings.unlabelled:
        raise FathomError(
            Code.BAD_SETTING,
            expected="--lambda-kd beside --teacher or --unlabelled",
            got="none, so that they would teach nothing",
            repair="add --lambda-kd 0.5, or choose --recipe auxiliary-kd",
        )


def named_teacher(settings: TrainSettings) -> Teacher:
    if settings.teacher is None or settings.teacher_weights is None:
        raise FathomError(
            Code.BAD_SETTING,
            expected="--teacher and --teacher-weights, which the recipe's terms need",
            got=f"teacher={settings.teacher} teacher_weights={settings.teacher_weights}",
            repair="give both, or leave --lambda-kd out of a recipe without a teacher",
        )
    return open_teacher(settings.teacher, settings.teacher_weights)


def metric(settings: TrainSettings, teacher: Teacher) -> Teacher:
    """The teacher, if terms of depth can be compared with it."""
    if teacher.unit is not Unit.METRIC:
        raise FathomError(
            Code.BAD_SETTING,
            expected="a teacher that answers in metres, as the terms compare depth",
            got=f"{settings.teacher}, which is {teacher.unit}",
            repair="use it through a recipe with terms for its unit, such as affine_kd",
        )
    return teacher


def patched(settings: TrainSettings, teacher: Teacher) -> Teacher:
    """Our own student's answers, refined by patches of its own and of the teacher's."""
    if settings.own_teacher is None:
        raise AssertionError("recipes with such terms require it")
    return Patched(OwnStudent(settings.own_teacher), teacher)
