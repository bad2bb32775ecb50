"""A fleet of Triton servers as one engine.

A batch goes to the least loaded server that is well, no more to each than it computes at once, so
that Triton's own queue stays empty. One that fails or hangs is given up in time for another to be
asked before the deadline; it is asked again when its rest is over and its health check is good.
Triton ignores a client's deadline unless the model sets one, so deadlines are kept here.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from fathom.card import Card
from fathom.errors import Code, FathomError
from server.core.endpoints import Endpoints
from server.engines.engine import EngineFault, EngineSpec, Outputs, TooLate
from server.engines.triton_calls import DATATYPES, INPUT, BadAnswer, Calls, Served

_log = logging.getLogger("fathom.server.triton")

# gRPC lets a broken connection rest for seconds, and longer every time: rests are decided here.
_CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A pod that is started anew has another address behind its name; gRPC would ask after 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
)
_OPEN_TIMEOUT_S = 5.0
# A server that is back is found within a period and a half-open batch.
_CHECK_PERIOD_S = 0.25
_CHECK_TIMEOUT_S = 1.0
# The longest that one server is waited for.
_PATIENCE_S = 2.0
# A call that was given less time than this and did not make it says nothing of the server.
_FAIR_S = 0.25
# When all have failed a batch, or none is well, they are asked again for so long: a server may have
# been busy for a moment, or its check late. Past that, nobody is waited for.
_GRACE_S = 0.5
_LOOK_AGAIN_S = 0.05
# A call given up may still be computed, and its answer written, for so long.
_ABANDONED_S = 10.0
_MOST_LANES = 64
_GONE = "StatusCode.UNAVAILABLE"
# Triton's word for a request that its own queue held too long, under the same status.
_REJECTED = "Request timeout expired"
_LATE = "StatusCode.DEADLINE_EXCEEDED"
_OURS = "StatusCode.INVALID_ARGUMENT"


@dataclass(slots=True, eq=False)
class _Server:
    """One address: its connection, and each lane's calls.

    abandoned  calls that were given up, and when
    """

    address: str
    client: InferenceServerClient
    calls: dict[int, Calls] = field(default_factory=dict)
    abandoned: list[tuple[float, Calls]] = field(default_factory=list)

    def abandon(self, lanes: Iterable[int], now_s: float) -> None:
        """Use these lanes' calls no more: the server may still write, or have forgotten them."""
        self.abandoned += [(now_s, self.calls.pop(lane)) for lane in lanes if lane in self.calls]


class TritonEngine:
    """One version of one model on any number of Triton servers.

    addresses  host:port of gRPC
    lanes      batches in flight at once; 0 takes as many as all servers compute at once
    raises     BAD_SETTING if none of them answers, BAD_MODEL if one has another model
    """

    def __init__(
        self,
        addresses: Sequence[str],
        card: Card,
        *,
        lanes: int = 0,
        max_batch: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._served = Served(
            name=card.name,
            version=card.version,
            input_size=card.input_size,
            outputs=card.outputs,
            max_batch=max_batch or 1,
        )
        self._servers = [
            _Server(address, InferenceServerClient(address, channel_args=_CHANNEL))
            for address in addresses
        ]
        configs = self._meet()
        limits = [limit for limit, _ in configs.values()]
        most = min(largest for _, largest in configs.values())
        self._served = replace(self._served, max_batch=min(max_batch or most, most))
        # One that is down will come up with the same model, and so with the same limit.
        self._endpoints = Endpoints(
            [configs[i][0] if i in configs else max(limits) for i in range(len(addresses))]
        )
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._checks = [
            threading.Thread(target=self._check, args=(index,), name=f"triton-{index}", daemon=True)
            for index in range(len(addresses))
        ]
        self._spec = EngineSpec(
            name="triton",
            device=",".join(addresses),
            precision="the servers'",
            input_size=card.input_size,
            max_batch=self._served.max_batch,
            outputs=card.outputs,
            lanes=lanes or min(_MOST_LANES, self._endpoints.limit),
            overlap=True,
        )
        for index in range(len(addresses)):
            self._endpoints.checked(index, healthy=index in configs)
        for thread in self._checks:
            thread.start()

    @property
    def spec(self) -> EngineSpec:
        return self._spec

    @property
    def resting(self) -> list[str]:
        """Addresses that are not asked now."""
        with self._changed:
            return [self._servers[index].address for index in self._endpoints.open]

    def infer(self, frames: NDArray[np.uint8], lane: int, due_s: float | None = None) -> Outputs:
        """Depth of a batch from whichever server gives it in time; raises EngineFault, TooLate."""
        if frames.shape[1:] != (*self._spec.input_size, 3):
            raise EngineFault(f"frames of {(*self._spec.input_size, 3)}, not {frames.shape[1:]}")
        give_up_s = math.inf if due_s is None else due_s
        tried: list[int] = []
        last = "no server is well"
        while (index := self._take(tried, give_up_s)) is not None:
            tried.append(index)
            timeout_s = self._share_of_time(tried, give_up_s)
            try:
                return self._ask(index, frames, lane, timeout_s)
            except InferenceServerException as error:
                hurried = error.status() == _LATE and timeout_s < _FAIR_S
                gone = error.status() == _GONE and _REJECTED not in str(error)
                self._failed(index, lane, str(error), gone=gone, fair=not hurried)
                last = f"{self._servers[index].address}: {error}"
                if error.status() == _OURS:
                    break  # another server would say the same
            except BadAnswer as error:
                self._failed(index, lane, str(error))
                last = f"{self._servers[index].address}: {error}"
            if len(tried) == len(self._servers):
                tried.clear()
                give_up_s = min(give_up_s, self._clock() + _GRACE_S)
        if due_s is not None and self._clock() >= due_s:
            raise TooLate(last)
        raise EngineFault(last)

    def close(self) -> None:
        """Stop checking, let the servers forget shared memory, and hang up."""
        self._closing.set()
        for index, (thread, server) in enumerate(zip(self._checks, self._servers, strict=True)):
            thread.join()
            while server.calls:
                _, calls = server.calls.popitem()
                if index not in self._endpoints.open:
                    calls.close()
            server.client.close()

    def _ask(self, index: int, frames: NDArray[np.uint8], lane: int, timeout_s: float) -> Outputs:
        server = self._servers[index]
        calls = server.calls.get(lane)
        if calls is None:
            calls = Calls(server.client, server.address, self._served)
            server.calls[lane] = calls
        outputs = calls.infer(frames, timeout_s)
        with self._changed:
            if index in self._endpoints.open:
                _log.info("triton.back address=%s", server.address)
            self._endpoints.succeeded(index)
            self._changed.notify()
        return outputs

    def _failed(
        self, index: int, lane: int, why: str, *, gone: bool = False, fair: bool = True
    ) -> None:
        server = self._servers[index]
        with self._changed:
            now_s = self._clock()
            if fair:
                self._endpoints.failed(index, now_s, gone=gone)
            else:
                self._endpoints.hurried(index)
            # Who was gone comes back without any memory of ours.
            server.abandon(list(server.calls) if gone else [lane], now_s)
            self._changed.notify()
        _log.warning("triton.failed address=%s gone=%s %s", server.address, gone, why)

    def _take(self, tried: Sequence[int], give_up_s: float) -> int | None:
        """A server for this batch; waits while one that is well has all that it takes."""
        with self._changed:
            hopeless_s: float | None = None
            while (now_s := self._clock()) < give_up_s:
                index = self._endpoints.take(now_s, tried)
                if index is not None:
                    return index
                if self._endpoints.busy(tried):
                    hopeless_s = None
                elif hopeless_s is None:
                    hopeless_s = now_s
                elif now_s - hopeless_s > _GRACE_S:
                    return None
                self._changed.wait(min(give_up_s - now_s, _LOOK_AGAIN_S))
        return None

    def _share_of_time(self, tried: Sequence[int], give_up_s: float) -> float:
        """How long to wait for this server: while there is another, half of what is left."""
        left_s = min(_PATIENCE_S, max(1e-3, give_up_s - self._clock()))
        with self._changed:
            return left_s / 2 if self._endpoints.busy(tried) else left_s

    def _check(self, index: int) -> None:
        """One server's health, asked again and again."""
        server, late = self._servers[index], False
        while not self._closing.wait(_CHECK_PERIOD_S):
            try:
                healthy = server.client.is_model_ready(
                    self._served.name, str(self._served.version), client_timeout=_CHECK_TIMEOUT_S
                )
                late = False
            except InferenceServerException as error:
                # One check that is late says that the server has much to do, two that it hangs.
                healthy, late = not late and error.status() != _GONE, True
            with self._changed:
                self._endpoints.checked(index, healthy=healthy)
                if not healthy:
                    server.abandon(list(server.calls), self._clock())
                self._changed.notify()
                before_s = self._clock() - _ABANDONED_S
                done = [calls for since_s, calls in server.abandoned if since_s < before_s]
                if healthy:
                    del server.abandoned[: len(done)]
            if healthy:
                for calls in done:
                    calls.close(patient=False)  # the next check does not wait for this

    def _meet(self) -> dict[int, tuple[int, int]]:
        """By number, the servers that answer: batches each computes at once, and its largest."""
        met, silent = {}, []
        for index, server in enumerate(self._servers):
            try:
                met[index] = _check_model(server.client, server.address, self._served)
            except InferenceServerException as error:
                silent.append(f"{server.address}: {error.message()}")
        for why in silent:
            _log.warning("triton.silent %s", why)
        if not met:
            raise FathomError(
                Code.BAD_SETTING,
                expected=f"a Triton that serves {self._served.name} version {self._served.version}",
                got="; ".join(silent),
                repair="start one on this model repository, or check --engine triton://host:port",
            )
        return met


def _check_model(client: InferenceServerClient, address: str, served: Served) -> tuple[int, int]:
    """Hold a server's model against the card; (batches it computes at once, largest batch)."""
    model = (served.name, str(served.version))
    said = client.get_model_metadata(*model, client_timeout=_OPEN_TIMEOUT_S)
    config = client.get_model_config(*model, client_timeout=_OPEN_TIMEOUT_S).config
    inputs = [(t.name, t.datatype, tuple(t.shape)) for t in said.inputs]
    outputs = {t.name: (t.datatype, tuple(t.shape)) for t in said.outputs}
    batch = (-1, *served.input_size)
    if (
        inputs != [(INPUT, "UINT8", (*batch, 3))]
        or any(outputs.get(name) != (DATATYPES[name], batch) for name in served.outputs)
        or config.max_batch_size < 1
    ):
        raise FathomError(
            Code.BAD_MODEL,
            expected=f"{INPUT} UINT8 {(*batch, 3)} to {', '.join(served.outputs)} of {batch},"
            " in batches",
            got=f"{address}: {inputs} to {outputs}, max_batch_size {config.max_batch_size}",
            repair="serve what `python -m export` published, config.pbtxt included",
        )
    groups = config.instance_group
    return sum(g.count * max(1, len(g.gpus)) for g in groups) or 1, config.max_batch_size
