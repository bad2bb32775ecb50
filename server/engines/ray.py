"""Replicas on a Ray cluster as one engine, through Ray Serve. Knows no network: `replica` does.

Serve gives a batch to the less loaded of two replicas, holds what finds none, and starts and ends
replicas by the batches in flight. A replica's death fails what it was computing: another one is
asked again here, inside the deadline, which Serve does not keep for its callers. A door keeps
nothing on the cluster and may come and go; it starts no cluster, it joins one.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import ray
from numpy.typing import NDArray
from ray import serve

from fathom.card import Card
from fathom.errors import Code, FathomError
from fathom.geometry import F32
from server.engines.engine import EngineFault, EngineSpec, Outputs, TooLate

_log = logging.getLogger("fathom.server.ray")

# Serve prefers other replicas to one that owes an answer, so that a second try goes elsewhere.
_TRIES = 4
# The longest that one try may take, beside what a full cluster needs, and with that.
_PATIENCE_S = 1.0
_MOST_PATIENCE_S = 2.0
# A try of less would be ended, and computed again, on every busy cluster.
_FAIR_S = 0.25
# Serve learns of a death within some milliseconds; a try before that would meet the dead again.
_PAUSE_S = 0.02
_OPEN_TIMEOUT_S = 10.0
_MOST_LANES = 64

Maps: TypeAlias = tuple[F32, NDArray[np.uint8] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What replicas say of themselves.

    batch_s  what the largest batch costs one of them
    at_once  batches that all compute at once when there are as many of them as there may be
    """

    precision: str
    max_batch: int
    batch_s: float
    at_once: int


class Call(Protocol):
    """One request to some replica; Serve's `DeploymentResponse`."""

    def result(self, *, timeout_s: float) -> Any: ...

    def cancel(self) -> None: ...


class Replicas(Protocol):
    """All replicas of one version of one model, as Serve's handle reaches them."""

    def describe(self) -> Call: ...

    def infer(self, frames: NDArray[np.uint8]) -> Call: ...

    def close(self) -> None: ...


class RayEngine:
    """One version of one model on any number of replicas.

    lanes   batches in flight at once; 0 takes as many as the most replicas compute at once
    raises  BAD_SETTING if no replica answers
    """

    def __init__(
        self,
        replicas: Replicas,
        card: Card,
        *,
        lanes: int = 0,
        max_batch: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._replicas = replicas
        self._clock = clock
        self._closing = threading.Event()
        described = _describe(replicas, card)
        # While there is one replica, batches for all that there may be wait for it.
        full_s = described.batch_s * described.at_once
        self._patience_s = min(_MOST_PATIENCE_S, _PATIENCE_S + full_s)
        self._spec = EngineSpec(
            name="ray",
            device=f"replicas of {deployment_name(card.name, card.version)}",
            precision=described.precision,
            input_size=card.input_size,
            max_batch=min(max_batch or described.max_batch, described.max_batch),
            outputs=card.outputs,
            lanes=lanes or min(_MOST_LANES, described.at_once),
            overlap=True,
        )

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    def infer(
        self,
        frames: NDArray[np.uint8],
        lane: int,  # noqa: ARG002 - lanes share nothing
        due_s: float | None = None,
    ) -> Outputs:
        """Depth of a batch from whichever replica gives it in time; raises EngineFault, TooLate."""
        if frames.shape[1:] != (*self._spec.input_size, 3):
            raise EngineFault(f"frames of {(*self._spec.input_size, 3)}, not {frames.shape[1:]}")
        last = "it was late before it was sent"
        for tries in range(_TRIES, 0, -1):
            timeout_s = self._share_of_time(due_s, tries)
            if timeout_s <= 0:
                break
            call = self._replicas.infer(frames)
            try:
                return self._read(call.result(timeout_s=timeout_s), frames)
            except TimeoutError:
                call.cancel()
                last = f"no replica answered within {timeout_s:.3f} s"
            except Exception as error:
                last = f"{type(error).__name__}: {error}"[:300]
                self._closing.wait(_PAUSE_S)
            _log.warning("ray.failed tries_left=%d %s", tries - 1, last)
        if due_s is not None and self._clock() >= due_s:
            raise TooLate(last)
        raise EngineFault(last)

    def close(self) -> None:
        """Let go of the replicas; the connection to the cluster is other models' as well."""
        self._closing.set()
        self._replicas.close()

    def _share_of_time(self, due_s: float | None, tries: int) -> float:
        """How long to wait for this try, so that as many as these fit before the deadline."""
        if due_s is None:
            return self._patience_s
        left_s = due_s - self._clock()
        return min(self._patience_s, max(left_s / tries, min(left_s, _FAIR_S)))

    def _read(self, maps: Maps, frames: NDArray[np.uint8]) -> Outputs:
        depth_m, labels = maps
        if depth_m.shape != frames.shape[:-1] or (labels is None) != (
            "labels" not in self._spec.outputs
        ):
            raise EngineFault(f"{depth_m.shape} came for {frames.shape[:-1]}")
        return Outputs(depth_m, labels)


class ServeReplicas:
    """The replicas of a deployment of Ray Serve.

    raises  BAD_SETTING if this machine is in no cluster, or that has no such deployment
    """

    def __init__(self, card: Card) -> None:
        _join()
        name = deployment_name(card.name, card.version)
        # By value: over gRPC from here to the replica and back. By reference, as is the default,
        # frames and depth take the way through two nodes' object stores, which is slower, and when
        # a node dies its replicas keep what they took for seconds, with no way to answer.
        self._handle = serve.get_deployment_handle(name, _application(name, card)).options(
            _by_reference=False
        )
        self._infer = self._handle.infer

    def describe(self) -> Call:
        call: Call = self._handle.describe.remote()
        return call

    def infer(self, frames: NDArray[np.uint8]) -> Call:
        call: Call = self._infer.remote(frames)
        return call

    def close(self) -> None:
        self._handle.shutdown()  # type: ignore[no-untyped-call]


def deployment_name(model: str, version: int) -> str:
    """A version is a deployment of its own: no batch is ever answered by another one."""
    return f"{model}-v{version}"


def _join() -> None:
    """Connect this process to its machine's node, or the one in RAY_ADDRESS; starts none."""
    if ray.is_initialized():
        return
    # Below that Serve tells of every handle and every request that it gives up.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        ray.init("auto", log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError) as error:
        raise FathomError(
            Code.BAD_SETTING,
            expected="a node of a Ray cluster on this machine",
            got=str(error)[:300],
            repair="join one with `ray start --address=head:6379 --num-cpus=0`",
        ) from error


def _application(name: str, card: Card) -> str:
    """The application that has a deployment of that name."""
    applications = serve.status().applications
    for application, status in applications.items():
        if name in status.deployments:
            return application
    raise FathomError(
        Code.BAD_SETTING,
        expected=f"an application of Ray Serve with the deployment {name}",
        got=", ".join(d for a in applications.values() for d in a.deployments) or "none",
        repair=f"serve run deploy.ray_app:app model={card.name}",
    )


def _describe(replicas: Replicas, card: Card) -> Described:
    try:
        described: Described = replicas.describe().result(timeout_s=_OPEN_TIMEOUT_S)
    except Exception as error:
        replicas.close()
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"a replica of {deployment_name(card.name, card.version)} that answers",
            got=f"{type(error).__name__}: {error}"[:300],
            repair="see by `ray status` whether the cluster has processors for it",
        ) from error
    return described
