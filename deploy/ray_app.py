"""Engines on a Ray cluster: one version of one model as an application of Ray Serve.

    serve run deploy.ray_app:app model=indoor-mnv2 max_replicas=8 cpus=2

A server on any of its nodes then asks the replicas: `python -m server --engine ray`. RAY.md beside
this file says how a cluster is started and grown. Besides what `Scale` lists, every setting of the
server that concerns engines is an argument, such as `engine=onnxruntime` or `precision=f32`.
"""

import os
from functools import partial
from pathlib import Path

from pydantic import BaseModel, Field
from ray import serve
from ray.serve import Application
from ray.serve.config import AutoscalingConfig

from fathom.card import CARD_FILE, read_card
from server.engines import null
from server.engines.ray import deployment_name
from server.models import open_version
from server.replica import Replica
from server.settings import Settings, load

# Serve looks for a replica with room only every half a second when all are full. So replicas take
# what doors send; it is bounded by the doors' lanes, and computed in the order in which it came.
_MOST_WAITING = 1000


class Scale(BaseModel):
    """How many replicas, and of what size."""

    model: str = Field(description="name in the model repository")
    version: int = Field(0, ge=0, description="0 takes the one that the repository serves now")
    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(4, ge=1)
    cpus: int = Field(2, ge=1, description="of each replica")
    gpus: float = Field(0, ge=0, description="of each replica; a fraction shares one")
    batches: float = Field(
        0, ge=0, description="in flight at each replica, past which there are more; 0: its lanes"
    )


def app(arguments: dict[str, str]) -> Application:
    """The application of these arguments.

    raises  ValidationError for one of `Scale`, BAD_SETTING for another, BAD_MODEL
    """
    scale = Scale.model_validate({k: v for k, v in arguments.items() if k in Scale.model_fields})
    # An engine computes on what the cluster counts for its replica.
    own = {"threads": str(scale.cpus), "lanes": str(min(2, scale.cpus))}
    given = own | {k: v for k, v in arguments.items() if k not in Scale.model_fields}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    settings, _ = load(flags, {}, Path(os.devnull))
    # Replicas do not start in this folder.
    settings = settings.model_copy(
        update={"model_repository": settings.model_repository.absolute()}
    )
    version = scale.version or _version_now(scale.model, settings)
    deployed = serve.deployment(
        name=deployment_name(scale.model, version),
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus},
        max_ongoing_requests=_MOST_WAITING,
        health_check_period_s=2,
        health_check_timeout_s=10,
        autoscaling_config=AutoscalingConfig(
            min_replicas=scale.min_replicas,
            max_replicas=scale.max_replicas,
            target_ongoing_requests=scale.batches or settings.lanes,
            upscale_delay_s=5,
            downscale_delay_s=60,
        ),
    )
    return deployed(Replica).bind(
        partial(open_version, scale.model, settings, version),
        timeout_s=settings.engine_timeout_s,
        at_most=scale.max_replicas,
    )


def _version_now(model: str, settings: Settings) -> int:
    """The version that the repository serves, which replicas that start later shall be of, too."""
    if settings.engine == "null":
        return null.CARD.version
    return read_card(settings.model_repository / model / CARD_FILE).version
