"""Direct uploads as a client does them: ask for URLs, send to them, complete."""

from typing import Any
from uuid import UUID

import httpx2

from tests.support.api_server import ApiServer
from tests.support.backends import Owner

TYPE = "application/octet-stream"


def start(server: ApiServer, owner: Owner, size: int, **fields: Any) -> dict[str, Any]:
    """Begin an upload. Fails the test if that is refused."""
    body = {"filename": "film.bin", "size": size, **fields}
    answer = server.client.post("/v1/uploads/direct", headers=owner.headers, json=body)
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


def put(url: str, data: bytes) -> httpx2.Response:
    """Send a part, with no credentials but the URL."""
    return httpx2.put(url, content=data, timeout=30)


def send(begun: dict[str, Any], data: bytes) -> list[dict[str, Any]]:
    """Send all parts; returns them as a client names them."""
    if "url" in begun:
        urls, size = {1: begun["url"]}, max(len(data), 1)
    else:
        urls, size = {part["number"]: part["url"] for part in begun["parts"]}, begun["part_size"]
    sent = []
    for number, url in urls.items():
        answer = put(url, data[(number - 1) * size : number * size])
        assert answer.status_code == 200, answer.text
        sent.append({"number": number, "etag": answer.headers["ETag"]})
    return sent


def complete(
    server: ApiServer, owner: Owner, upload_id: str | UUID, parts: list[dict[str, Any]] | None = None
) -> httpx2.Response:
    return server.client.post(
        f"/v1/uploads/direct/{upload_id}/complete",
        headers=owner.headers,
        json=None if parts is None else {"parts": parts},
    )
