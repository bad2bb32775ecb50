"""A Ray cluster of two nodes on this machine, with an application of ours on it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from fathom.card import CARD_FILE, Card

START_S = 400  # a tenth of that, where the machine is not busy with other things
# One replica fits on a node, so that of two replicas each node has one.
_NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 * 2**20}

# As deploy/RAY.md starts a head: it gives a node up after three seconds without a connection.
_HEAD = {
    "RAY_AUTH_MODE": "disabled",  # with tokens Ray wants to be told before it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


@dataclass(slots=True)
class RayCluster:
    """Two nodes; this process is connected to the first, whose end would be everything's."""

    cluster: Any
    second: Any

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    @contextmanager
    def deployed(self, **arguments: object) -> Iterator[None]:
        """An application of `deploy/ray_app.py` with one replica on each node."""
        from ray import serve

        from deploy.ray_app import app

        given = {"cpus": 1, "min_replicas": 2, "max_replicas": 2} | arguments
        application = app({name: str(value) for name, value in given.items()})
        serve.run(application, name="fathom", route_prefix=None)
        try:
            yield
        finally:
            serve.delete("fathom")

    def kill_second_node(self) -> None:
        """As when it loses its power, but that its connections are seen to break."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def add_node(self) -> None:
        self.second = self.cluster.add_node(**_NODE)


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster with Serve, without pages and proxies; nothing is left of it."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    import ray
    from ray import serve
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environ, ExitStack() as stack:
        # Short, for it holds the names of sockets.
        folder = stack.enter_context(TemporaryDirectory(prefix="r", ignore_cleanup_errors=True))
        for name, value in _HEAD.items():
            environ.setenv(name, value)
        environ.setenv("RAY_TMPDIR", folder)
        cluster = Cluster()
        stack.callback(cluster.shutdown)
        cluster.add_node(**_NODE, include_dashboard=False)
        second = cluster.add_node(**_NODE)
        ray.init(cluster.address, log_to_driver=False, configure_logging=False)
        stack.callback(ray.shutdown)
        serve.start(proxy_location="Disabled")
        stack.callback(serve.shutdown)
        yield RayCluster(cluster, second)


def publish_card(repository: Path, card: Card) -> None:
    """Let a version's card be where a replica looks for it."""
    version = repository / card.name / str(card.version)
    version.mkdir(parents=True, exist_ok=True)
    for folder in (version.parent, version):
        (folder / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
