import grpc
import pytest

from fathom.errors import STATUS, Code, FathomError
from fathom.wire import depth_pb2 as pb
from fathom.wire.status import FAILED_KEY, error_from_rpc, status_code, trailing_metadata


@pytest.mark.parametrize("code", Code)
def test_every_error_crosses_the_wire_whole(code: Code) -> None:
    error = FathomError(code, expected="ein Bär", got="that", repair="do so")
    back = error_from_rpc(status_code(error), "not needed", trailing_metadata(error))
    assert back.args == error.args


@pytest.mark.parametrize("code", Code)
def test_the_status_is_the_table_s(code: Code) -> None:
    error = FathomError(code, expected="", got="", repair="")
    assert status_code(error).name == STATUS[code].grpc


def test_the_metadata_key_is_one_that_may_hold_bytes() -> None:
    assert FAILED_KEY.endswith("-bin")
    assert FAILED_KEY.islower()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (grpc.StatusCode.UNAVAILABLE, Code.CONNECTION_LOST),
        (grpc.StatusCode.CANCELLED, Code.CONNECTION_LOST),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Code.DEADLINE_PASSED),
        (grpc.StatusCode.UNIMPLEMENTED, Code.NOT_AVAILABLE),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Code.IMAGE_TOO_LARGE),
        (grpc.StatusCode.DATA_LOSS, Code.INTERNAL),
    ],
)
def test_a_status_from_elsewhere_gets_a_row_of_the_table(
    status: grpc.StatusCode, code: Code
) -> None:
    error = error_from_rpc(status, "in its own words", (("x-other", "value"),))
    assert error.code is code
    assert error.got == f"{status.name}: in its own words"


@pytest.mark.parametrize("status", grpc.StatusCode)
def test_no_status_is_beyond_words(status: grpc.StatusCode) -> None:
    assert error_from_rpc(status, "", ()).repair


def test_an_error_of_a_newer_server_is_told_to_people() -> None:
    detail = pb.Failed(code="bad_mood", expected="joy", got="a frown", repair="smile")
    metadata = ((FAILED_KEY, detail.SerializeToString()),)
    error = error_from_rpc(grpc.StatusCode.INTERNAL, "", metadata)
    assert (error.code, error.got) == (Code.INTERNAL, "bad_mood: a frown")


def test_details_that_cannot_be_read_leave_the_status() -> None:
    error = error_from_rpc(grpc.StatusCode.UNAVAILABLE, "gone", ((FAILED_KEY, b"\xff\xff"),))
    assert error.code is Code.CONNECTION_LOST
