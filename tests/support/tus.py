"""A client of tus and of the IETF draft that does exactly what it is told."""

import base64
from collections.abc import Iterable
from typing import Any, Protocol

import httpx2

PATCH_TYPE = "application/offset+octet-stream"
DRAFT_TYPE = "application/partial-upload"


def metadata(**pairs: str) -> str:
    """An Upload-Metadata header."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in pairs.items())


class Server(Protocol):
    """Whatever answers: the API, or a proxy before it."""

    client: httpx2.Client


class TusClient:
    """One client of one server."""

    def __init__(self, server: Server, credentials: dict[str, str]) -> None:
        self._client = server.client
        self._headers = {**credentials, "Tus-Resumable": "1.0.0"}

    def request(self, method: str, url: str, headers: dict[str, str], **more: Any) -> httpx2.Response:
        return self._client.request(method, url, headers={**self._headers, **headers}, **more)

    def create(self, length: int | None = None, **headers: str) -> httpx2.Response:
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        if length is not None:
            wanted["Upload-Length"] = str(length)
        return self.request("POST", "/v1/uploads", wanted)

    def created(self, length: int, **headers: str) -> str:
        """The address of a new upload."""
        answer = self.create(length, **headers)
        assert answer.status_code == 201, answer.text
        return answer.headers["Location"]

    def patch(
        self, url: str, offset: int, data: bytes | Iterable[bytes], headers: dict[str, str] | None = None
    ) -> httpx2.Response:
        wanted = {"Upload-Offset": str(offset), "Content-Type": PATCH_TYPE, **(headers or {})}
        return self.request("PATCH", url, wanted, content=data)

    def head(self, url: str) -> httpx2.Response:
        return self.request("HEAD", url, {})

    def offset(self, url: str) -> int:
        answer = self.head(url)
        assert answer.status_code == 200, answer.status_code
        return int(answer.headers["Upload-Offset"])
