"""The FastAPI rival in process, with a scripted student."""

import asyncio

import httpx

from benchmarks.rivals.fastapi_server import build_app
from fathom.errors import Code, FathomError


def test_the_fastapi_rival_answers_bytes_and_says_what_is_wrong() -> None:
    def answer(jpeg: bytes) -> bytes:
        if not jpeg:
            raise FathomError(Code.BAD_IMAGE, expected="a JPEG", got="nothing", repair="send one")
        return jpeg[::-1]

    async def main() -> None:
        transport = httpx.ASGITransport(build_app(answer))
        async with httpx.AsyncClient(transport=transport, base_url="http://rival") as client:
            assert (await client.get("/health")).status_code == 200
            assert (await client.post("/predict", content=b"abc")).content == b"cba"
            refused = await client.post("/predict", content=b"")
            assert refused.status_code == 400
            assert "expected a JPEG" in refused.text

    asyncio.run(main())
