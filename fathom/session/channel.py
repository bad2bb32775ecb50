"""What both shells say to a gRPC channel: its options, one request, one reply."""

from fathom.errors import Code, FathomError
from fathom.values import EncodedDepth, Image, Options
from fathom.wire import depth_pb2 as pb
from fathom.wire.convert import answer_from_wire, image_to_wire, options_to_wire

# An answer at the size of a 50-megapixel photo is 200 MB of float32; gRPC's own bound is 4 MB.
CHANNEL_OPTIONS = (
    # Channels of one process to one address would share a connection, and so a server's worker.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.max_send_message_length", -1),
    # When to try again is decided above the channel; its own wait, up to 2 minutes, only adds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
    # A server that lost its power says nothing, and TCP would wait for it for a quarter of an hour.
    # Asked no more often than servers of ours allow, every 10 s.
    ("grpc.keepalive_time_ms", 12_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
)


def predict_request(image: Image, options: Options, model: str) -> pb.PredictRequest:
    request = pb.PredictRequest(model=model, options=options_to_wire(options))
    image_to_wire(image, request.image)
    return request


def reply_depth(reply: pb.Answer) -> EncodedDepth:
    """The depth of a unary reply; raises if it holds anything else."""
    answer = answer_from_wire(reply)
    if not isinstance(answer, EncodedDepth):
        raise FathomError(
            Code.BAD_REQUEST,
            expected="depth, or an error status",
            got=type(answer).__name__,
            repair="use a client of the server's version",
        )
    return answer


def absent(error: FathomError, target: str, timeout_s: float) -> FathomError:
    """The error of `describe`: where nobody answered it says where one looked, and for how long."""
    if error.code not in {Code.DEADLINE_PASSED, Code.CONNECTION_LOST}:
        return error
    return FathomError(
        Code.CONNECTION_LOST,
        expected=f"a Fathom server at {target}",
        got=f"no answer within {timeout_s:g} s",
        repair="start one with `make serve`, or give the address of its gRPC door, port 8001",
    )
