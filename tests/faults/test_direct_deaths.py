"""SIGKILL while a direct upload becomes a file: completing again makes it, once."""

import hashlib
from typing import Any

import httpx2
import pytest

from tests.support.after_faults import listed
from tests.support.arena import Arena


def begin(arena: Arena, client: httpx2.Client, data: bytes) -> dict[str, Any]:
    """Send a file whose completion will be acknowledged, sooner or later."""
    answer = client.post("/v1/uploads/direct", json={"filename": "photo.jpg", "size": len(data)})
    assert answer.status_code == 201, answer.text
    begun: dict[str, Any] = answer.json()
    assert httpx2.put(begun["url"], content=data, timeout=30).status_code == 200
    arena.ledger.acknowledged[begun["id"]] = hashlib.sha256(data).hexdigest()
    return begun


@pytest.mark.fault(
    "F2",
    "SIGKILL of the API between the object of a direct upload and its commit",
    "completing again makes one file",
)
def test_completion_that_died_after_its_object_is_repeated(arena: Arena):
    data = arena.new_photo("completed twice")
    with arena.client() as client:
        begun = begin(arena, client, data)
        old_pid = arena.service.pids["api"]
        arena.arm("direct.object")
        with pytest.raises(httpx2.TransportError):
            client.post(f"/v1/uploads/direct/{begun['id']}/complete")
    arena.wait_until_dead("direct.object")
    arena.service.wait_until_restarted("api", old_pid=old_pid)
    arena.service.wait_until_ready()
    with arena.client() as client:
        assert list(listed(client)) == []
        for _ in range(2):
            answer = client.post(f"/v1/uploads/direct/{begun['id']}/complete")
            assert (answer.status_code, answer.json()["id"]) == (201, begun["id"])
        assert [file["id"] for file in listed(client)] == [begun["id"]]
        assert client.get(f"/v1/files/{begun['id']}/content").content == data
    arena.wait_until_ready([begun["id"]])


@pytest.mark.slow
@pytest.mark.fault(
    "F6", "SIGKILL of a worker that has hashed a direct upload", "it is hashed again, and ready"
)
def test_worker_that_dies_after_it_hashed_has_one_effect(arena: Arena):
    with arena.client() as client:
        begun = begin(arena, client, arena.new_photo("hashed"))
        arena.arm("hash.computed")
        assert client.post(f"/v1/uploads/direct/{begun['id']}/complete").status_code == 201
    arena.wait_until_dead("hash.computed")
    arena.wait_until_ready([begun["id"]])
