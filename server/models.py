"""From a model repository to engines: what is there, whether it is whole, and what runs it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fathom.card import CARD_FILE, Card, read_card, verify_files
from fathom.errors import Code, FathomError
from fathom.values import ModelInfo
from server.core.scheduler import Scheduler
from server.dispatch import Dispatch
from server.engines import null
from server.engines.engine import Engine
from server.engines.opening import open_engine
from server.lanes import Lanes
from server.settings import Settings
from server.telemetry import Telemetry
from server.warm_up import measure_costs


@dataclass(frozen=True, slots=True, eq=False)
class ServedModel:
    """One model, ready to be asked."""

    card: Card
    engine: Engine
    dispatch: Dispatch
    lanes: Lanes

    @property
    def info(self) -> ModelInfo:
        """What `Describe` and `/models` say of it."""
        return ModelInfo(
            name=self.card.name,
            version=self.card.version,
            summary=self.card.summary,
            input_size=self.card.input_size,
            outputs=self.card.outputs,
            classes=self.card.classes,
            class_colours=self.card.class_colours,
            focal_px=self.card.focal_px,
            range_m=self.card.range_m,
        )


class Models:
    """The models of one server, by name; the first is the default."""

    def __init__(self, served: list[ServedModel]) -> None:
        self._served = {model.card.name: model for model in served}

    def __iter__(self) -> Iterator[ServedModel]:
        return iter(self._served.values())

    def get(self, name: str) -> ServedModel:
        """The model of that name, or the default for an empty one; raises UNKNOWN_MODEL."""
        if not name:
            return next(iter(self))
        if name not in self._served:
            raise FathomError(
                Code.UNKNOWN_MODEL,
                expected=f"one of: {', '.join(self._served)}",
                got=repr(name[:80]),
                repair="leave the model out for the default, or use one of these names",
            )
        return self._served[name]

    @property
    def healthy(self) -> bool:
        return all(model.lanes.healthy for model in self)


def open_models(settings: Settings, telemetry: Telemetry) -> Models:
    """Open, verify and warm up all models of the settings.

    raises  BAD_MODEL, UNKNOWN_MODEL, BAD_SETTING
    """
    if settings.engine == "null":
        engine = null.NullEngine(
            cost_s=settings.null_cost_ms / 1e3,
            frame_cost_s=settings.null_frame_cost_ms / 1e3,
            max_batch=settings.null_batch,
            lanes=settings.lanes or 1,
        )
        return Models([_serve(null.CARD, engine, settings, telemetry)])
    served = []
    for folder in _model_folders(settings):
        card = read_card(folder / CARD_FILE)
        for _ in verify_files(card, folder):
            pass  # raises at the first file that is not the one that was measured
        served.append(_serve(card, open_engine(card, folder, settings), settings, telemetry))
    return Models(served)


def _serve(card: Card, engine: Engine, settings: Settings, telemetry: Telemetry) -> ServedModel:
    curve = measure_costs(engine, time.monotonic)
    dispatch = Dispatch(
        card,
        settings.limits,
        Scheduler(settings.bounds, curve),
        telemetry,
        weights=settings.weights,
    )
    lanes = Lanes(engine, curve, dispatch, telemetry)
    telemetry.started(engine.spec)
    return ServedModel(card, engine, dispatch, lanes)


def _model_folders(settings: Settings) -> list[Path]:
    root = settings.model_repository
    found = {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CARD_FILE}"))}
    wanted = [name for name in settings.models.split(",") if name] or list(found)
    if not wanted:
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"at least one model in {root}",
            got="none",
            repair="run from the repository's root, or give --model-repository",
        )
    for name in wanted:
        if name not in found:
            raise FathomError(
                Code.UNKNOWN_MODEL,
                expected=f"models of {root}: {', '.join(found) or 'none'}",
                got=name,
                repair="check --models and --model-repository",
            )
    return [found[name] for name in wanted]
