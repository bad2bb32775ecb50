"""The picture in an HTTP request: the form field `image`, or the raw body. Bounded, in memory."""

from collections.abc import AsyncGenerator

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from fathom.codecs.image import sniff
from fathom.errors import Code, FathomError
from fathom.values import Image

FIELD = "image"
# Boundaries and part headers around the one file of a form.
_FORM_SLACK_BYTES = 64 * 2**10


class _InMemoryParser(MultiPartParser):
    # The parent spools parts past 1 MiB to disk; this server writes nothing outside its cache, and
    # the body is bounded before the parser sees it.
    spool_max_size = 2**31

    def close(self) -> None:
        """Release every part, also the one that a cut-off form left open."""
        for file in self._files_to_close_on_error:
            file.close()


async def read_image(request: Request, limit_bytes: int) -> Image:
    """The request's picture.

    raises  BAD_REQUEST for a form without the field, IMAGE_TOO_LARGE as soon as that is known,
            BAD_IMAGE for what is not a picture
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        data = await _read_form(request, limit_bytes)
    else:
        data = await read_bounded(request, limit_bytes)
    return Image(encoding=sniff(data), data=data)


async def read_bounded(request: Request, limit_bytes: int) -> bytes:
    """The whole body; raises IMAGE_TOO_LARGE as soon as that is known, CONNECTION_LOST."""
    return b"".join([chunk async for chunk in _bounded(request, limit_bytes)])


async def _read_form(request: Request, limit_bytes: int) -> bytes:
    stream = _bounded(request, limit_bytes + _FORM_SLACK_BYTES)
    parser = _InMemoryParser(
        request.headers, stream, max_files=4, max_fields=16, max_part_size=2**16
    )
    try:
        form = await parser.parse()
        upload = form.get(FIELD)
        if isinstance(upload, UploadFile):
            return await upload.read()
    except (MultiPartException, KeyError) as error:
        raise FathomError(
            Code.BAD_REQUEST,
            expected=f"a multipart form with a file in the field {FIELD!r}",
            got=f"a form that cannot be parsed: {getattr(error, 'message', error)}",
            repair=f"curl -F {FIELD}=@photo.jpg builds such a form",
        ) from error
    finally:
        parser.close()
    names = ", ".join(repr(name[:40]) for name in form) or "none"
    got = f"{FIELD!r} as text" if upload is not None else f"fields: {names}"
    raise FathomError(
        Code.BAD_REQUEST,
        expected=f"a file in the form field {FIELD!r}",
        got=got,
        repair=f"curl -F {FIELD}=@photo.jpg sends it so",
    )


async def _bounded(request: Request, limit_bytes: int) -> AsyncGenerator[bytes, None]:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit_bytes:
        raise _too_large(f"{announced} bytes", limit_bytes)
    read_bytes = 0
    try:
        async for chunk in request.stream():
            read_bytes += len(chunk)
            if read_bytes > limit_bytes:
                raise _too_large(f"more than {limit_bytes} bytes", limit_bytes)
            yield chunk
    except ClientDisconnect as error:
        raise FathomError(
            Code.CONNECTION_LOST,
            expected="a whole picture",
            got=f"a client that left after {read_bytes} bytes",
            repair="keep the connection open until the answer",
        ) from error


def _too_large(got: str, limit_bytes: int) -> FathomError:
    return FathomError(
        Code.IMAGE_TOO_LARGE,
        expected=f"at most {limit_bytes} bytes",
        got=got,
        repair="send JPEG, or a smaller picture",
    )
