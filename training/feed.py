"""What the loop is fed: pictures, what the teacher says about them, unlabelled ones beside them.

Here settings become loaders; the loop sees batches and knows neither teachers nor folders.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from fathom.errors import Code, FathomError
from training.data.augment import Policy
from training.data.lazy import Lazily
from training.data.loader import Loader
from training.data.mixture import Mixture
from training.data.nyu import MAP_SIZE, NyuFolder, without_border
from training.data.reader import ALL, Reader
from training.data.sample import Batch, Sample
from training.data.unlabelled import ImageFolder
from training.recipes.recipe import Recipe
from training.settings import TrainSettings
from training.students.spec import StudentSpec
from training.teachers.cache import TargetCache
from training.teachers.choice import open_teacher
from training.teachers.teacher import Unit, metres_of


class Batches(Protocol):
    """Epochs of batches, equally many in each."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int) -> Iterator[Batch]: ...


def feed(settings: TrainSettings, recipe: Recipe, folder: NyuFolder, spec: StudentSpec) -> Batches:
    """The batches that a recipe's terms need.

    raises  BAD_SETTING if a teacher is needed and missing, or pictures are given that none needs
    """
    taught = recipe.needs("taught")
    labels = recipe.needs("labels")
    if not taught:
        refuse_idle(settings)
    ids = folder.ids(settings.fit_part)
    cache = open_cache(settings) if taught else None
    if cache is not None:
        # The teacher sees the whole picture: METER reads its scale from the border.
        cache.build((folder.read(id_).image for id_ in ids), len(ids))
    teach = attach(cache)
    loader = Loader(
        samples=[without_border(teach(folder.read(id_, labels=labels))) for id_ in ids],
        network_size=(spec.height_px, spec.width_px),
        focal_px=spec.focal_px,
        batch_size=settings.batch_size,
        policy=Policy(),
        seed=settings.seed,
    )
    if settings.unlabelled is None:
        return loader
    others = ImageFolder(settings.unlabelled, size=MAP_SIZE)
    if cache is not None:
        cache.build((others.read(id_).image for id_ in others.ids(ALL)), len(others.ids(ALL)))
    return Mixture(
        labelled=loader,
        unlabelled=unlabelled(others, teach, labels=labels),
        per_labelled=settings.unlabelled_per_labelled or 1.0,
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


def open_cache(settings: TrainSettings) -> TargetCache:
    """The teacher that the recipe's terms need, asked once a picture."""
    if settings.teacher is None or settings.teacher_weights is None:
        raise FathomError(
            Code.BAD_SETTING,
            expected="--teacher and --teacher-weights, which the recipe's terms need",
            got=f"teacher={settings.teacher} teacher_weights={settings.teacher_weights}",
            repair="give both, or leave --lambda-kd out of a recipe without a teacher",
        )
    teacher = open_teacher(settings.teacher, settings.teacher_weights)
    if teacher.unit is not Unit.METRIC:
        raise FathomError(
            Code.BAD_SETTING,
            expected="a teacher that answers in metres, as the terms compare depth",
            got=f"{settings.teacher}, which is {teacher.unit}",
            repair="use it through a recipe with terms for its unit, such as affine_kd",
        )
    return TargetCache(teacher, settings.teacher_cache or settings.out / "taught")


def attach(cache: TargetCache | None) -> Callable[[Sample], Sample]:
    """Put what the teacher says beside a sample; metres are restated for its camera."""

    def teach(sample: Sample) -> Sample:
        if cache is None:
            return sample
        return replace(sample, taught=metres_of(cache(sample.image), sample.focal_px))

    return teach


def unlabelled(reader: Reader, teach: Callable[[Sample], Sample], *, labels: bool) -> Lazily:
    """Pictures with nothing but the teacher's word; and no class anywhere, where classes count."""

    def finish(sample: Sample) -> Sample:
        nothing = np.zeros(sample.depth_m.shape, np.uint8) if labels else None
        return replace(teach(sample), labels=nothing)

    return Lazily(reader, reader.ids(ALL), finish)
