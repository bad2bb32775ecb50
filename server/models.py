"""From a model repository to engines: what is there, whether it is whole, and what runs it."""

import time
from collections.abc import Iterator

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

# What a batch under way may take until it is done, before its engine is left behind.
_HAND_OVER_S = 5.0


class ServedModel:
    """One model, ready to be asked; its lanes, with engine and version, may be replaced."""

    def __init__(self, dispatch: Dispatch, lanes: Lanes) -> None:
        self.dispatch = dispatch
        self.lanes = lanes
        self._stands_in = False

    @property
    def healthy(self) -> bool:
        return self.lanes.healthy and not self._stands_in

    @property
    def card(self) -> Card:
        return self.lanes.card

    @property
    def engine(self) -> Engine:
        return self.lanes.engine

    def replace(self, lanes: Lanes, *, stands_in: bool = False) -> None:
        """Let other lanes take every frame from the next one on; close the engine of the last.

        stands_in  they only fail frames, until there is an engine again
        """
        lanes.start()
        last, self.lanes, self._stands_in = self.lanes, lanes, stands_in
        # An engine that hangs is left behind: whatever closes it would hang as well.
        if not last.hangs and last.join(_HAND_OVER_S):
            last.engine.close()

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
        return all(model.healthy for model in self)


def open_models(settings: Settings, telemetry: Telemetry) -> Models:
    """Open, verify and warm up all models of the settings.

    raises  BAD_MODEL, UNKNOWN_MODEL, BAD_SETTING
    """
    names = [null.CARD.name] if settings.engine == "null" else _model_names(settings)
    served = []
    for name in names:
        card, engine = open_version(name, settings)
        curve = measure_costs(engine, time.monotonic)
        dispatch = Dispatch(
            card,
            settings.limits,
            Scheduler(settings.bounds, curve),
            telemetry,
            weights=settings.weights,
        )
        served.append(ServedModel(dispatch, Lanes(engine, card, curve, dispatch, telemetry)))
        telemetry.started(engine.spec)
    return Models(served)


def open_version(name: str, settings: Settings, version: int = 0) -> tuple[Card, Engine]:
    """A version of a model, verified, on its engine.

    version  0 takes the one that the repository names now
    raises   BAD_MODEL, BAD_SETTING
    """
    if settings.engine == "null":
        return null.CARD, null.NullEngine(
            cost_s=settings.null_cost_ms / 1e3,
            frame_cost_s=settings.null_frame_cost_ms / 1e3,
            max_batch=settings.null_batch,
            fault_every=settings.null_fault_every,
            lanes=settings.lanes or 1,
        )
    folder = settings.model_repository / name
    card = read_card(folder / (str(version) if version else "") / CARD_FILE)
    for _ in verify_files(card, folder):
        pass  # raises at the first file that is not the one that was measured
    return card, open_engine(card, folder, settings)


def _model_names(settings: Settings) -> list[str]:
    root = settings.model_repository
    found = [path.parent.name for path in sorted(root.glob(f"*/{CARD_FILE}"))]
    wanted = [name for name in settings.models.split(",") if name] or found
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
    return wanted
