"""When what keeps failing is begun again, an engine or a worker. Knows neither, and no clock.

The first time at once; then after 1 s, 2 s, 4 s, up to 30 s, for an engine that cannot be opened
now will hardly be better at once. One that stayed well for a minute starts from the beginning.
"""

_FIRST_REST_S = 1.0
_LONGEST_REST_S = 30.0
_STABLE_S = 60.0


class Recovery:
    """The attempts of one of them to come back."""

    def __init__(self) -> None:
        self._rest_s = 0.0
        self._tried_s: float | None = None

    def due(self, now_s: float) -> bool:
        """Whether to begin what is ill again now; asking counts as an attempt if so."""
        if self._tried_s is not None:
            since_s = now_s - self._tried_s
            if since_s < self._rest_s:
                return False
            if since_s >= self._rest_s + _STABLE_S:
                self._rest_s = 0.0
        self._tried_s = now_s
        self._rest_s = min(max(2 * self._rest_s, _FIRST_REST_S), _LONGEST_REST_S)
        return True
