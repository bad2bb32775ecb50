"""What reflection tells of the Open Inference Protocol: our messages under their published names.

The protocol's messages live in a package of our own in this process (see kserve.proto), and travel
without names. Whoever asks by reflection is to call them by the protocol's, so they are described
a second time, in a pool that only reflection reads.
"""

from collections.abc import Iterable

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from fathom.wire import kserve_pb2

_PACKAGE, _SERVICE = "inference", "GRPCInferenceService"
SERVICE = f"{_PACKAGE}.{_SERVICE}"
STREAMED = "ModelStreamInfer"


def pool_with(files: Iterable[FileDescriptor], unary: Iterable[str]) -> DescriptorPool:
    """These files, and the protocol's service.

    unary  its methods that take one message and give one, named as those are
    """
    pool = DescriptorPool()
    for file in files:
        pool.AddSerializedFile(file.serialized_pb)
    pool.Add(_published(unary))
    return pool


def _published(unary: Iterable[str]) -> FileDescriptorProto:
    file = FileDescriptorProto()
    kserve_pb2.DESCRIPTOR.CopyToProto(file)
    own = f".{file.package}."
    file.package = _PACKAGE
    for message in file.message_type:
        _rename(message, own)
    service = file.service.add(name=_SERVICE)
    for name in unary:
        service.method.add(
            name=name,
            input_type=f".{_PACKAGE}.{name}Request",
            output_type=f".{_PACKAGE}.{name}Response",
        )
    service.method.add(
        name=STREAMED,
        input_type=f".{_PACKAGE}.ModelInferRequest",
        output_type=f".{_PACKAGE}.{STREAMED}Response",
        client_streaming=True,
        server_streaming=True,
    )
    return file


def _rename(message: DescriptorProto, own: str) -> None:
    """Let its fields, and those of messages inside it, name types of the published package."""
    for field in message.field:
        if field.type_name.startswith(own):
            field.type_name = f".{_PACKAGE}.{field.type_name.removeprefix(own)}"
    for inner in message.nested_type:
        _rename(inner, own)
