"""What the loop is fed: pictures, what the teacher says about them, unlabelled ones beside them.

Here settings become loaders; the loop sees batches and knows neither teachers nor folders.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.asking import Asked, open_asked
from training.data.augment import Policy
from training.data.check import some, spread
from training.data.forms import open_any, recognise
from training.data.lazy import Joined, Lazily
from training.data.loader import Loader
from training.data.mixture import Mixture
from training.data.nyu import MAP_SIZE, NyuFolder, without_border
from training.data.reader import ALL, Reader
from training.data.sample import Batch, Sample
from training.data.scale import compare_scale
from training.data.unlabelled import ImageFolder
from training.footage import footage
from training.recipes.recipe import Recipe
from training.settings import TrainSettings
from training.students.spec import StudentSpec

log = logging.getLogger("fathom.training.feed")


class Batches(Protocol):
    """Epochs of batches, equally many in each."""

    def __len__(self) -> int: ...
    def epoch(self, epoch: int) -> Iterator[Batch]: ...


def feed(settings: TrainSettings, recipe: Recipe, folder: NyuFolder, spec: StudentSpec) -> Batches:
    """The batches that a recipe's terms need.

    raises  BAD_SETTING if a teacher is needed and missing, or pictures are given that none needs
    """
    labels = recipe.needs("labels")
    asked = open_asked(settings, recipe)
    if recipe.needs("neighbours"):
        return footage(settings, spec, asked)
    others = beside(settings, folder, asked, labels=labels)
    loader = Loader(
        samples=fitted(settings, folder, asked, labels=labels) if settings.labelled else others,
        network_size=(spec.height_px, spec.width_px),
        focal_px=spec.focal_px,
        batch_size=settings.batch_size,
        policy=Policy(),
        seed=settings.seed,
    )
    if not settings.labelled or not len(others):
        return loader
    return Mixture(
        labelled=loader,
        unlabelled=others,
        per_labelled=settings.unlabelled_per_labelled or 1.0,
    )


def fitted(
    settings: TrainSettings, folder: NyuFolder, asked: Asked, *, labels: bool
) -> list[Sample]:
    """The labelled pictures, kept decoded."""
    ids = folder.ids(settings.fit_part)
    asked.build(lambda: (folder.read(id_).image for id_ in ids), len(ids))
    return [without_border(asked(folder.read(id_, labels=labels))) for id_ in ids]


def beside(settings: TrainSettings, folder: NyuFolder, asked: Asked, *, labels: bool) -> Joined:
    """Auxiliary pictures with their depth, then unlabelled ones with a teacher's word alone."""
    sets: list[Lazily] = []
    if settings.auxiliary is not None:
        reader = open_any(settings.auxiliary)
        fit = (folder.read(id_) for id_ in spread(folder.ids(settings.fit_part)))
        finding = compare_scale(fit, some(reader))
        log.log(
            logging.INFO if finding.level == "right" else logging.WARNING,
            "auxiliary.scale %s: %s",
            settings.auxiliary,
            finding.text,
        )
        sets.append(auxiliary(reader, asked, labels=labels))
    if settings.unlabelled is not None:
        sets.append(unlabelled(pictures(settings.unlabelled), asked, labels=labels))
    for each in sets:
        asked.build(each.pictures, len(each))
    return Joined(sets)


def pictures(path: Path) -> Reader:
    """Any data set as pictures; those of a plain folder are stretched to 4:3."""
    form = recognise(path)
    return ImageFolder(path, size=MAP_SIZE) if form == "images" else open_any(path, form)


def unlabelled(reader: Reader, teach: Callable[[Sample], Sample], *, labels: bool) -> Lazily:
    """Pictures with nothing but the teacher's word; and no class anywhere, where classes count."""

    def finish(sample: Sample) -> Sample:
        bare = replace(
            teach(sample),
            depth_m=np.zeros_like(sample.depth_m),
            valid=np.zeros_like(sample.valid),
        )
        return replace(bare, labels=no_class(sample) if labels else None)

    return Lazily(reader, reader.ids(ALL), finish)


def auxiliary(reader: Reader, teach: Callable[[Sample], Sample], *, labels: bool) -> Lazily:
    """Pictures with depth, as measured, and no class anywhere, where classes count."""

    def finish(sample: Sample) -> Sample:
        return replace(teach(sample), labels=no_class(sample) if labels else None)

    return Lazily(reader, reader.ids(ALL), finish)


def no_class(sample: Sample) -> NDArray[np.uint8]:
    return np.zeros(sample.depth_m.shape, np.uint8)
