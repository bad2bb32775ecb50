"""Keeps every model served: answers for engines that hang, opens failed ones again, and takes new
versions up.

A new version, or an engine again, is opened and warmed up while the last one serves. Then its lanes
take the frames, between two of them; every frame is computed and finished by one version.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fathom.card import CARD_FILE, Card, read_card
from fathom.errors import Code, FathomError
from server.core.batcher import CostCurve
from server.core.recovery import Recovery
from server.engines.engine import Engine, EngineFault, EngineSpec, Outputs
from server.lanes import Lanes
from server.models import Models, ServedModel, open_version
from server.settings import Settings
from server.telemetry import Telemetry
from server.warm_up import measure_costs

_log = logging.getLogger("fathom.server.keeper")

_PERIOD_S = 0.1

Opener: TypeAlias = Callable[[str, Settings], tuple[Card, Engine]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What became of one model: the version that serves now, and why no other does."""

    name: str
    version: int
    before: int
    refused: str = ""


class Keeper:
    """One thread for each model, and a reload when somebody asks for it."""

    def __init__(
        self,
        models: Models,
        settings: Settings,
        telemetry: Telemetry,
        *,
        opener: Opener = open_version,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = models
        self._settings = settings
        self._telemetry = telemetry
        self._open = opener
        self._clock = clock
        self._one_at_a_time = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, args=(model,), name="keeper", daemon=True)
            for model in models
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Replace nothing from here on; an engine that is being opened is not waited for."""
        with self._one_at_a_time:
            self._stopping.set()

    def reload(self) -> list[Reloaded]:
        """Take up what the repository names now; what is bad is refused, and the last serves on."""
        return [self._reload(model) for model in self._models]

    def look_after(self, model: ServedModel, recovery: Recovery) -> None:
        """Answer for what hangs, and open again what is ill, when its time has come."""
        model.lanes.fail_overdue(self._settings.engine_timeout_s)
        if model.healthy or not recovery.due(self._clock()):
            return
        if model.lanes.hangs:
            spec = model.engine.spec
            self._replace(model, model.card, _Absent(spec), CostCurve({1: 0.0}), stands_in=True)
        try:
            card, engine = self._open(model.card.name, self._settings)
            self._take_up(model, card, engine)
        except (FathomError, EngineFault) as error:
            _log.error("engine.reopen failed model=%s %s", model.card.name, error)
        else:
            _log.info("engine.reopened model=%s", model.card.name)

    def _keep(self, model: ServedModel) -> None:
        recovery = Recovery()
        while not self._stopping.wait(_PERIOD_S):
            try:
                self.look_after(model, recovery)
            except Exception:  # noqa: BLE001
                # Foreign code opens engines: what it throws must not end the watch over this one.
                _log.exception("keeper failed model=%s", model.card.name)

    def _reload(self, model: ServedModel) -> Reloaded:
        name, before = model.card.name, model.card
        try:
            if self._named_now(name) == before:
                return Reloaded(name=name, version=before.version, before=before.version)
            card, engine = self._open(name, self._settings)
            self._take_up(model, card, engine)
        except (FathomError, EngineFault) as error:
            _log.error("model.refused name=%s %s", name, error)
            return Reloaded(
                name=name, version=before.version, before=before.version, refused=str(error)
            )
        _log.info("model.reloaded name=%s version=%d was=%d", name, card.version, before.version)
        return Reloaded(name=name, version=card.version, before=before.version)

    def _named_now(self, name: str) -> Card | None:
        if self._settings.engine == "null":
            return self._models.get(name).card
        return read_card(self._settings.model_repository / name / CARD_FILE)

    def _take_up(self, model: ServedModel, card: Card, engine: Engine) -> None:
        """Warm an engine up, look at what it answers, and let it serve; close it if it is bad."""
        try:
            _check(card, engine, model.card)
            curve = measure_costs(engine, self._clock)
        except Exception:
            engine.close()
            raise
        self._telemetry.started(engine.spec)
        self._replace(model, card, engine, curve)

    def _replace(
        self,
        model: ServedModel,
        card: Card,
        engine: Engine,
        curve: CostCurve,
        *,
        stands_in: bool = False,
    ) -> None:
        with self._one_at_a_time:
            if self._stopping.is_set():
                engine.close()
                return
            lanes = Lanes(engine, card, curve, model.dispatch, self._telemetry)
            model.replace(lanes, stands_in=stands_in)


class _Absent:
    """Stands in for an engine that hangs: frames are failed, and do not wait for nobody."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec

    def infer(
        self,
        frames: NDArray[np.uint8],  # noqa: ARG002
        lane: int,  # noqa: ARG002
        due_s: float | None = None,  # noqa: ARG002
    ) -> Outputs:
        raise EngineFault("the engine hangs; another one is being opened")

    def close(self) -> None:
        """There is nothing."""


def _check(card: Card, engine: Engine, last: Card) -> None:
    """Raise BAD_MODEL for a version that lacks what the last one gave, or gives no depth."""
    missing = set(last.outputs) - set(card.outputs)
    frames = np.full((1, *card.input_size, 3), 128, np.uint8)
    depth_m = None if missing else engine.infer(frames, 0).depth_m
    if depth_m is None or depth_m.shape != (1, *card.input_size) or not np.isfinite(depth_m).all():
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"a version with {', '.join(last.outputs)} and a depth for every pixel",
            got=f"no {', '.join(missing)}"
            if missing
            else "pixels without depth for a grey picture",
            repair="export it again, or give the model another name",
        )
