"""The two programs of Prometheus, where there are any; the routes that a server has."""

from collections.abc import Set

import pytest

from benchmarks.monitoring import NoPrometheus, Tools, find_tools
from server.doors.http import build_app
from tests.server.conftest import WatchedTelemetry
from tests.server.doors.conftest import House


@pytest.fixture(scope="session")
def tools() -> Tools:
    try:
        return find_tools()
    except NoPrometheus as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def routes() -> Set[str]:
    """Paths of the HTTP door."""
    house = House(WatchedTelemetry())
    try:
        return {getattr(route, "path", "") for route in build_app(house.service).routes}
    finally:
        house.close()
