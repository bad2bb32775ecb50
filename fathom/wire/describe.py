"""What a server is, between messages and values, both ways: models, encodings, limits."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TypeVar

from fathom.values import Description, Limits, ModelInfo
from fathom.wire import depth_pb2 as pb
from fathom.wire.numbers import DEPTH_ENCODING, IMAGE_ENCODING

_E = TypeVar("_E", bound=StrEnum)


def limits_to_wire(limits: Limits) -> pb.Limits:
    return pb.Limits(
        image_bytes=limits.image_bytes,
        image_pixels=limits.image_pixels,
        side_px=limits.side_px,
        waiting_frames=limits.waiting_frames,
        streams=limits.streams,
    )


def limits_from_wire(message: pb.Limits) -> Limits:
    return Limits(
        image_bytes=message.image_bytes,
        image_pixels=message.image_pixels,
        side_px=message.side_px,
        waiting_frames=message.waiting_frames,
        streams=message.streams,
    )


def description_to_wire(description: Description) -> pb.DescribeReply:
    return pb.DescribeReply(
        server_version=description.server_version,
        models=[_model_to_wire(model) for model in description.models],
        depth_encodings=[DEPTH_ENCODING[e] for e in description.depth_encodings],
        image_encodings=[IMAGE_ENCODING[e] for e in description.image_encodings],
        limits=limits_to_wire(description.limits),
        engine=description.engine,
        device=description.device,
        precision=description.precision,
    )


def _model_to_wire(model: ModelInfo) -> pb.Model:
    return pb.Model(
        name=model.name,
        version=model.version,
        summary=model.summary,
        input_size=pb.Size(width=model.input_size[1], height=model.input_size[0]),
        outputs=model.outputs,
        classes=model.classes,
        class_colours=model.class_colours,
        focal_px=model.focal_px,
        min_m=model.range_m[0],
        max_m=model.range_m[1],
    )


def description_from_wire(message: pb.DescribeReply) -> Description:
    return Description(
        server_version=message.server_version,
        models=tuple(
            ModelInfo(
                name=model.name,
                version=model.version,
                summary=model.summary,
                input_size=(model.input_size.height, model.input_size.width),
                outputs=tuple(model.outputs),
                classes=tuple(model.classes),
                class_colours=tuple(model.class_colours),
                focal_px=model.focal_px,
                range_m=(model.min_m, model.max_m),
            )
            for model in message.models
        ),
        depth_encodings=_known(DEPTH_ENCODING, message.depth_encodings),
        image_encodings=_known(IMAGE_ENCODING, message.image_encodings),
        limits=limits_from_wire(message.limits),
        engine=message.engine,
        device=message.device,
        precision=message.precision,
    )


def _known(table: Mapping[_E, int], numbers: Iterable[int]) -> tuple[_E, ...]:
    wanted = set(numbers)
    return tuple(member for member, number in table.items() if number in wanted)
