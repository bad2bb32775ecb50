"""The two programs of Prometheus, where there are any."""

import pytest

from benchmarks.monitoring import NoPrometheus, Tools, find_tools


@pytest.fixture(scope="session")
def tools() -> Tools:
    try:
        return find_tools()
    except NoPrometheus as error:
        pytest.skip(str(error))
