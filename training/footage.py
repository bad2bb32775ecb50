"""From settings to frames with neighbours: a video or frames in order, of any form we read."""

from fathom.geometry import FieldOfView
from training.asking import Asked
from training.data.augment import Policy
from training.data.forms import open_any
from training.data.reader import ALL
from training.data.triples import Triples, load_clip
from training.settings import TrainSettings
from training.students.spec import StudentSpec


def footage(settings: TrainSettings, spec: StudentSpec, asked: Asked) -> Triples:
    """Triples of the sequence that settings name.

    raises  BAD_DATA if it is too short or of no form we read
    """
    if settings.sequence is None:
        raise AssertionError("recipes that learn from motion require it")
    reader = open_any(settings.sequence)
    ids = reader.ids(ALL)
    asked.build(lambda: (reader.read(id_).image for id_ in ids), len(ids))
    camera = None if settings.hfov_deg is None else FieldOfView(settings.hfov_deg)
    return Triples(
        clips=[load_clip((asked(reader.read(id_)) for id_ in ids), spec, camera)],
        batch_size=settings.batch_size,
        policy=Policy(),
        seed=settings.seed,
        apart=settings.frames_apart,
    )
