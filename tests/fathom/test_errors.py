import pickle

import grpc
import pytest

from fathom.errors import STATUS, Code, FathomError


def test_every_code_has_exactly_one_row() -> None:
    assert set(STATUS) == set(Code)


def test_codes_are_the_names_that_travel() -> None:
    assert [code.value for code in Code] == [code.name.lower() for code in Code]


@pytest.mark.parametrize("code", Code)
def test_a_row_names_a_real_grpc_status_and_an_http_error(code: Code) -> None:
    status = STATUS[code]
    assert status.grpc in grpc.StatusCode.__members__
    assert 400 <= status.http < 600


@pytest.mark.parametrize("code", Code)
def test_overload_is_429_and_not_ready_is_503_on_both_doors(code: Code) -> None:
    status = STATUS[code]
    assert (status.http == 429) == (status.grpc == "RESOURCE_EXHAUSTED")
    assert (status.http == 503) == (status.grpc == "UNAVAILABLE")


@pytest.mark.parametrize("code", Code)
def test_a_retry_is_offered_only_where_time_can_help(code: Code) -> None:
    assert STATUS[code].retry == (STATUS[code].http in {408, 429, 503})


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        STATUS[Code.INTERNAL] = STATUS[Code.BAD_IMAGE]  # type: ignore[index]  # the point


def test_an_error_says_what_was_expected_what_came_and_what_to_do() -> None:
    error = FathomError(Code.BAD_IMAGE, expected="a JPEG", got="a poem", repair="send a JPEG")
    assert str(error) == "bad_image: expected a JPEG; got a poem; send a JPEG"


@pytest.mark.parametrize("code", Code)
def test_an_error_survives_the_way_between_processes(code: Code) -> None:
    error = FathomError(code, expected="this", got="that", repair="do so")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is FathomError
    assert (copy.code, copy.expected, copy.got, copy.repair) == (code, "this", "that", "do so")
    assert copy.status is STATUS[code]
