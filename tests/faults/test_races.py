"""Requests that get into each other's way: one effect, and never a mixture."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.support.after_faults import listed
from tests.support.arena import Arena, stopped

MIB = 1024 * 1024
TWINS = 20


@pytest.mark.fault("F36", "DELETE while a worker decodes", "no rendition comes back to life")
def test_file_that_is_deleted_while_it_is_processed_stays_deleted(arena: Arena):
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, "deleted")
        with stopped(arena.wait_for_sandbox_child().pid):
            assert client.delete(f"/v1/files/{file_id}").status_code == 204
        del arena.ledger.acknowledged[file_id]
        arena.service.wait_until(
            lambda: not arena.configuration.objects.of_file(file_id) and not arena.sandbox_children(),
            "nothing of the file is left",
        )
        assert client.get(f"/v1/files/{file_id}").status_code == 404


@pytest.mark.fault(
    "F36", "DELETE while others download", "each reader has the whole file or a broken connection"
)
def test_reader_of_a_file_that_is_deleted_sees_nothing_else(arena: Arena):
    content = b"".join(number.to_bytes(4) for number in range(6 * MIB // 4))
    with arena.client() as client:
        answer = arena.post(client, "large.bin", content)
        assert answer is not None
        file_id = answer.json()["items"][0]["id"]
        received = b""
        try:
            with client.stream("GET", f"/v1/files/{file_id}/content") as download:
                for chunk in download.iter_bytes():
                    if not received:
                        with arena.client() as other:
                            assert other.delete(f"/v1/files/{file_id}").status_code == 204
                    received += chunk
            assert received == content
        except httpx2.TransportError:
            assert content.startswith(received)
        assert client.get(f"/v1/files/{file_id}/content").status_code == 404
    del arena.ledger.acknowledged[file_id]


@pytest.mark.fault(
    "F37", "one Idempotency-Key, twenty times at once, then for another body", "one file; 409, 422"
)
def test_twenty_twins_make_one_file(arena: Arena):
    photo = arena.new_photo("twins")
    key = {"Idempotency-Key": hashlib.sha256(photo).hexdigest()}

    def post(_: int) -> httpx2.Response:
        with arena.client() as client:
            answer = arena.post(client, "twins.jpg", photo, **key)
        assert answer is not None
        return answer

    with ThreadPoolExecutor(TWINS) as pool:
        answers = list(pool.map(post, range(TWINS)))
    made = {answer.json()["items"][0]["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    with arena.client() as client:
        assert [file["id"] for file in listed(client)] == list(made)
        other = arena.post(client, "twins.jpg", arena.new_photo("another"), **key)
        assert other is not None
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    arena.wait_until_ready(list(made))
