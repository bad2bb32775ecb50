"""Everything that may come in at a door of a whole process, good and bad, over HTTP and gRPC.

A bad question is told what was expected, what came and the repair, with the status of the error
table: never a 500, never a dead server, and memory back to where it was.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import grpc
import httpx
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray

from fathom.errors import STATUS, Code, FathomError
from fathom.session import sync
from fathom.wire import depth_pb2 as pb
from fathom.wire.depth_pb2_grpc import DepthStub
from fathom.wire.status import FAILED_KEY, error_from_rpc
from tests.acceptance.conftest import RunningServer
from tests.server.conftest import PICTURE, jpeg, turned

PATIENCE_S = 30.0
LIMIT_BYTES = 2 * 2**20  # of the server that these tests share
RNG = np.random.default_rng(8)
NOISE = RNG.integers(0, 256, (48, 64, 3)).astype(np.uint8)

# What four rounds of everything here may leave behind. Allocators keep some pages; one round sends
# more than this in bodies alone, so keeping those of a single round would show.
MEMORY_SLACK_BYTES = 24 * 2**20


def encoded(suffix: str, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return data.tobytes()


def cut(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def png_header(width: int, height: int) -> bytes:
    """A PNG of one header and an end, after the PNG specification, sections 5.3 and 11.2.2."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


CMYK = bytes(simplejpeg.encode_jpeg(np.zeros((8, 8, 4), np.uint8), 90, "CMYK", "444"))
FORM = "multipart/form-data; boundary=b"
FIELD = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n--b--\r\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """One bad question, as it is asked at each door that can ask it.

    model, options  as gRPC puts them; query, form, method and path are HTTP's alone
    """

    name: str
    code: Code
    data: bytes = PICTURE.data
    query: dict[str, str] = field(default_factory=dict)
    model: str = ""
    options: pb.Options | None = None
    form: str = ""
    method: str = "POST"
    path: str = "/predict"

    @property
    def http_only(self) -> bool:
        return bool(self.form) or (self.method, self.path) != ("POST", "/predict")


def focal(fx: float) -> pb.Options:
    return pb.Options(intrinsics=pb.Intrinsics(fx=fx))


BAD = [
    Bad(name="not an image", code=Code.BAD_IMAGE, data=b"GIF89a, if it were one"),
    Bad(name="empty", code=Code.BAD_IMAGE, data=b""),
    Bad(name="one byte", code=Code.BAD_IMAGE, data=b"\xff"),
    Bad(name="only a magic number", code=Code.BAD_IMAGE, data=b"\x89PNG\r\n\x1a\n"),
    Bad(name="cut JPEG", code=Code.BAD_IMAGE, data=cut(jpeg(NOISE).data)),
    Bad(name="cut PNG", code=Code.BAD_IMAGE, data=cut(encoded(".png", NOISE))),
    Bad(name="cut WebP", code=Code.BAD_IMAGE, data=cut(encoded(".webp", NOISE))),
    Bad(name="0x0", code=Code.BAD_IMAGE, data=png_header(0, 0)),
    Bad(name="no pixels behind the header", code=Code.BAD_IMAGE, data=png_header(8, 8)),
    Bad(name="20000x20000", code=Code.IMAGE_TOO_LARGE, data=png_header(20_000, 20_000)),
    Bad(name="long side", code=Code.IMAGE_TOO_LARGE, data=png_header(20_000, 1)),
    Bad(name="CMYK", code=Code.UNSUPPORTED_IMAGE, data=CMYK),
    Bad(name="too many bytes", code=Code.IMAGE_TOO_LARGE, data=PICTURE.data.ljust(LIMIT_BYTES + 1)),
    Bad(name="far too many bytes", code=Code.IMAGE_TOO_LARGE, data=bytes(4 * LIMIT_BYTES)),
    Bad(name="model", code=Code.UNKNOWN_MODEL, query={"model": "none"}, model="none"),
    *(
        Bad(name=f"focal {fx}", code=Code.BAD_OPTION, query={"fx": fx}, options=focal(float(fx)))
        for fx in ("0", "-1", "nan", "inf")
    ),
    *(
        Bad(
            name=f"field of view {hfov}",
            code=Code.BAD_OPTION,
            query={"hfov": hfov},
            options=pb.Options(hfov_deg=float(hfov)),
        )
        for hfov in ("0", "500", "nan")
    ),
    Bad(
        name="encoding",
        code=Code.BAD_OPTION,
        query={"format": "bmp"},
        options=pb.Options(depth_encoding=99),  # type: ignore[arg-type]  # no such number
    ),
    Bad(
        name="colours",
        code=Code.BAD_OPTION,
        query={"colormap": "jet"},
        options=pb.Options(colours=pb.Colours(map="jet")),
    ),
    Bad(
        name="range",
        code=Code.BAD_OPTION,
        query={"min": "3", "max": "2"},
        options=pb.Options(colours=pb.Colours(near_m=3, far_m=2)),
    ),
    Bad(name="wrong field", code=Code.BAD_REQUEST, data=FIELD % (b"photo", b"x"), form=FORM),
    Bad(name="broken form", code=Code.BAD_REQUEST, data=b"no form at all", form=FORM),
    Bad(name="form without end", code=Code.BAD_REQUEST, data=FIELD[:70], form=FORM),
    Bad(name="form without boundary", code=Code.BAD_REQUEST, form="multipart/form-data"),
    Bad(name="form of no image", code=Code.BAD_IMAGE, data=FIELD % (b"image", b"x"), form=FORM),
    Bad(name="unknown option", code=Code.BAD_OPTION, path="/predict?fromat=npy"),
    Bad(name="wrong method", code=Code.WRONG_METHOD, method="GET"),
    Bad(name="unknown route", code=Code.UNKNOWN_ROUTE, path="/predictions"),
]
DOORS = ["http", "grpc"]
TABLE = [(door, bad) for bad in BAD for door in DOORS if door == "http" or not bad.http_only]


@dataclass(frozen=True, slots=True)
class Doors:
    """Both ways into the one server."""

    http: httpx.Client
    grpc: DepthStub

    def refused(self, door: str, bad: Bad) -> FathomError:
        """How a door refuses; fails if it does not, or not with the table's status."""
        return self._by_http(bad) if door == "http" else self._by_grpc(bad)

    def _by_http(self, bad: Bad) -> FathomError:
        headers = {"Content-Type": bad.form} if bad.form else {}
        response = self.http.request(
            bad.method, bad.path, content=bad.data, params=bad.query or None, headers=headers
        )
        assert response.headers["content-type"] == "application/problem+json"
        body = response.json()
        code = Code(body["code"])
        assert response.status_code == body["status"] == STATUS[code].http
        assert 400 <= response.status_code < 500
        return FathomError(code, expected=body["expected"], got=body["got"], repair=body["repair"])

    def _by_grpc(self, bad: Bad) -> FathomError:
        request = pb.PredictRequest(
            model=bad.model, image=pb.Image(data=bad.data), options=bad.options
        )
        with pytest.raises(grpc.RpcError) as caught:
            self.grpc.Predict(request, timeout=PATIENCE_S)
        error = caught.value
        metadata = [(entry.key, entry.value) for entry in error.trailing_metadata() or ()]
        refused = error_from_rpc(error.code(), error.details() or "", metadata)
        if FAILED_KEY in dict(metadata):
            assert error.code() is getattr(grpc.StatusCode, STATUS[refused.code].grpc)
        else:  # gRPC itself refuses a message past its limit, before the server sees it
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        return refused


@pytest.fixture(scope="module")
def doors(null_server: RunningServer) -> Iterator[Doors]:
    with (
        httpx.Client(base_url=null_server.http_url, timeout=PATIENCE_S) as http,
        grpc.insecure_channel(
            null_server.grpc_target, options=[("grpc.max_send_message_length", -1)]
        ) as channel,
    ):
        yield Doors(http, DepthStub(channel))


@pytest.mark.parametrize(("door", "bad"), TABLE, ids=lambda value: getattr(value, "name", value))
def test_a_bad_question_is_told_what_to_repair(doors: Doors, door: str, bad: Bad) -> None:
    error = doors.refused(door, bad)
    assert error.code is bad.code
    assert error.expected and error.got and error.repair


GRADIENT = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 48, axis=0)
ALPHA = np.dstack([NOISE, np.zeros((48, 64), np.uint8)])

GOOD = [
    ("16-bit PNG", encoded(".png", GRADIENT.astype(np.uint16) * 257), (48, 64)),
    ("grey PNG", encoded(".png", GRADIENT), (48, 64)),
    ("grey JPEG", encoded(".jpg", GRADIENT), (48, 64)),
    ("alpha PNG", encoded(".png", ALPHA), (48, 64)),
    ("WebP", encoded(".webp", NOISE), (48, 64)),
    ("alpha WebP", encoded(".webp", ALPHA), (48, 64)),
    (
        "progressive JPEG",
        cv2.imencode(".jpg", NOISE, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1].tobytes(),
        (48, 64),
    ),
    ("1x1", encoded(".png", NOISE[:1, :1]), (1, 1)),
    ("1x1 JPEG", encoded(".jpg", NOISE[:1, :1]), (1, 1)),
    ("8000x100", encoded(".jpg", np.tile(NOISE, (3, 125, 1))[:100]), (100, 8000)),
    ("100x8000", encoded(".jpg", np.tile(NOISE, (167, 2, 1))[:8000, :100]), (8000, 100)),
    *(
        (f"orientation {n}", turned(PICTURE, n).data, (48, 64) if n < 5 else (64, 48))
        for n in range(1, 9)
    ),
    ("orientation 9", turned(PICTURE, 9).data, (48, 64)),
]


@pytest.mark.parametrize(("data", "size"), [row[1:] for row in GOOD], ids=[row[0] for row in GOOD])
def test_a_picture_is_answered_upright_at_its_own_size(
    doors: Doors, data: bytes, size: tuple[int, int]
) -> None:
    response = doors.http.post("/predict", content=data)
    assert response.status_code == 200, response.text
    pixels = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None and pixels.shape == size and pixels.dtype == np.uint16
    assert pixels.min() >= 1000 and pixels.max() <= 5000  # the null engine's range, in mm
    options = pb.Options(output_size=pb.OutputSize(kind=pb.OutputSize.KIND_SOURCE))
    request = pb.PredictRequest(image=pb.Image(data=data), options=options)
    depth = doors.grpc.Predict(request, timeout=PATIENCE_S).depth
    assert (depth.height, depth.width) == size
    assert np.array_equal(np.frombuffer(depth.data, "<u2").reshape(size), pixels)


@pytest.mark.parametrize("format_", ["png16", "npy", "jpg", "json", "ply"])
@pytest.mark.parametrize("name", ["1x1", "8000x100", "orientation 6", "alpha PNG"])
def test_odd_pictures_are_answered_in_every_form(doors: Doors, name: str, format_: str) -> None:
    data = next(row[1] for row in GOOD if row[0] == name)
    response = doors.http.post("/predict", content=data, params={"format": format_})
    assert response.status_code == 200 and response.content


def test_any_bytes_at_all_are_answered_or_refused(doors: Doors) -> None:
    """Good files with some of their bytes replaced: whatever comes of it is no 5xx."""
    rng = np.random.default_rng(1)
    whole = [jpeg(NOISE).data, encoded(".png", NOISE), encoded(".webp", NOISE)]
    for round_ in range(90):
        data = bytearray(whole[round_ % 3])
        near = 64 if round_ % 2 else len(data)  # headers are where the branches are
        for at in rng.integers(3, near, 6):
            data[at] = rng.integers(256)
        status = doors.http.post("/predict", content=bytes(data)).status_code
        assert status == 200 or 400 <= status < 500, bytes(data)


def test_after_all_of_it_the_server_answers_and_holds_no_more_memory(
    doors: Doors, null_server: RunningServer
) -> None:
    def everything() -> None:
        for door, bad in TABLE:
            doors.refused(door, bad)
        for _, data, _ in GOOD:
            doors.http.post("/predict", content=data).raise_for_status()

    for _ in range(2):
        everything()  # what is allocated once is allocated now
    before = null_server.resident_bytes()
    for _ in range(4):
        everything()
    assert null_server.resident_bytes() - before < MEMORY_SLACK_BYTES
    with sync.Client(null_server.grpc_target) as client:
        assert client.predict(PICTURE).depth_m.shape == (240, 320)
    assert null_server.process.poll() is None
