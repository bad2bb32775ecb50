"""Which worker processes are to be started, and what it means when one is ready or gone. Knows no
process, signal or clock.

away --due--> starting --ready--> ready
  ^              |                  |
  +----gone------+------gone--------+

The first starts alone: what keeps it from serving would keep all of them, and is told once; what it
compiles and leaves in a cache, the others find there. One that is gone before it ever was ready
ends the start. From then on it is started again, at once and then ever more seldom.
"""

from enum import Enum, auto

from server.core.recovery import Recovery


class _Phase(Enum):
    AWAY = auto()
    STARTING = auto()
    READY = auto()


class Crew:
    """The workers of one server, by number from 0.

    exit_code  what the whole ends with: 0 if it was told to end once all served, and all ended well
    """

    def __init__(self, workers: int) -> None:
        self._phases = [_Phase.AWAY] * workers
        self._recoveries: dict[int, Recovery] = {}  # of those that were lost
        self._proven: set[int] = set()  # those that were ready once
        self._whole = False
        self._ending = False
        self.exit_code = 0

    @property
    def ready_now(self) -> int:
        """How many serve."""
        return self._phases.count(_Phase.READY)

    @property
    def waits(self) -> bool:
        """Whether one is to be started when its time has come."""
        return not self._ending and _Phase.AWAY in self._phases

    @property
    def ending(self) -> bool:
        return self._ending

    @property
    def over(self) -> bool:
        """Whether none is left, and none will come."""
        return self._ending and all(phase is _Phase.AWAY for phase in self._phases)

    def serves(self, worker: int) -> bool:
        return self._phases[worker] is _Phase.READY

    def due(self, now_s: float) -> list[int]:
        """Workers to start now; asking counts as starting them."""
        if self._ending:
            return []
        candidates = range(len(self._phases)) if self._proven else range(1)
        due = [worker for worker in candidates if self._is_due(worker, now_s)]
        for worker in due:
            self._phases[worker] = _Phase.STARTING
        return due

    def ready(self, worker: int) -> bool:
        """Note that a worker serves; whether now, for the first time, all do."""
        self._phases[worker] = _Phase.READY
        self._proven.add(worker)
        if self._whole or self.ready_now < len(self._phases):
            return False
        self._whole = True
        return True

    def gone(self, worker: int, exit_code: int) -> None:
        """Note that a worker's process is no more.

        exit_code  negative for the signal that ended it
        """
        served = self.serves(worker)
        self._phases[worker] = _Phase.AWAY
        if self._ending:
            if served and exit_code:
                self.exit_code = 1
        elif worker in self._proven:
            self._recoveries.setdefault(worker, Recovery())
        else:
            self._ending = True
            self.exit_code = max(1, exit_code)

    def end(self) -> None:
        """Start none from here on."""
        if not self._ending and not self._whole:
            self.exit_code = 1
        self._ending = True

    def _is_due(self, worker: int, now_s: float) -> bool:
        if self._phases[worker] is not _Phase.AWAY:
            return False
        recovery = self._recoveries.get(worker)
        return recovery is None or recovery.due(now_s)
