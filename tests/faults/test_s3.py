"""An S3 that errs, hangs, lies about outcomes, or breaks off: tried again within a budget, never assumed."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.support import s3_proxy
from tests.support.arena import ANSWER_SECONDS, SLACK_SECONDS, Arena, seconds_of
from tests.support.s3_proxy import Fault, S3FaultProxy, status

MIB = 1024 * 1024
LARGE = bytes(11 * MIB)
DOWNLOADS = 40
"""More than the API has threads for its storage."""
READINESS_SECONDS = 0.5 + 0.4
BOUND_SECONDS = ANSWER_SECONDS["storage"] + SLACK_SECONDS

pytestmark = pytest.mark.parametrize("started", ["postgresql-s3"], indirect=True)


def s3_of(arena: Arena) -> S3FaultProxy:
    assert arena.s3 is not None
    return arena.s3


WRITES = ("put", "create_upload", "put_part", "complete_upload")


@pytest.mark.fault("F21", "S3 answers 500 or 503, twice per call", "tried again; the upload is whole")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(status(503, "SlowDown"), marks=pytest.mark.slow, id="503"),
        pytest.param(status(500, "InternalError"), id="500"),
    ],
)
def test_upload_survives_passing_errors_of_each_call(arena: Arena, fault: Fault):
    s3_of(arena).inject(*WRITES, "open", fault=fault, times=2)
    _upload_all_sorts(arena)


@pytest.mark.slow
@pytest.mark.fault("F21", "S3 resets connections, once per call", "tried again; the upload is whole")
def test_upload_survives_reset_connections(arena: Arena):
    s3_of(arena).inject(*WRITES, "open", fault=s3_proxy.reset, times=1)
    _upload_all_sorts(arena)


@pytest.mark.slow
@pytest.mark.fault("F21", "S3 answers 503 to DELETE", "the objects go when it recovers")
def test_delete_survives_an_outage(arena: Arena):
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, "to delete")
        arena.wait_until_ready([file_id])
        s3_of(arena).inject("delete", fault=status(503, "SlowDown"), times=6)
        assert client.delete(f"/v1/files/{file_id}").status_code == 204
        del arena.ledger.acknowledged[file_id]
    arena.service.wait_until(lambda: not arena.configuration.objects.of_file(file_id), "its objects are gone")


@pytest.mark.slow
@pytest.mark.fault("F21", "S3 answers 503 for longer than the budget", "503 in time, and nothing stays")
@pytest.mark.parametrize("operation", WRITES)
def test_upload_during_an_outage_is_refused_and_leaves_nothing(arena: Arena, operation: str):
    s3_of(arena).inject(operation, fault=status(503, "SlowDown"))
    _check_refused(arena, b"small" if operation == "put" else LARGE)


@pytest.mark.slow
@pytest.mark.fault("F22", "S3 answers 429", "tried again; the upload is whole")
def test_upload_survives_too_many_requests(arena: Arena):
    s3_of(arena).inject(*WRITES, "open", fault=status(429, "TooManyRequests"), times=2)
    _upload_all_sorts(arena)


@pytest.mark.slow
@pytest.mark.fault("F23", "S3 hangs", "503 within half a minute, and nothing stays")
@pytest.mark.parametrize("operation", ["put", "put_part", "complete_upload"])
def test_upload_to_a_store_that_hangs_is_refused_in_time(arena: Arena, operation: str):
    s3_of(arena).inject(operation, fault=s3_proxy.hang)
    _check_refused(arena, b"small" if operation == "put" else LARGE)


@pytest.mark.slow
@pytest.mark.fault("F23", "S3 hangs for one call", "tried again; the upload is whole")
def test_upload_survives_one_call_that_hangs(arena: Arena):
    s3_of(arena).inject("put_part", "complete_upload", fault=s3_proxy.hang, times=1)
    with arena.client() as client:
        answer = arena.post(client, "large.bin", LARGE)
        assert answer is not None
        assert answer.status_code == 201, answer.text


@pytest.mark.slow
@pytest.mark.fault("F23", "S3 hangs for downloads, and many ask", "503 in time; readiness stays quick")
def test_downloads_from_a_store_that_hangs_are_refused_in_time(arena: Arena):
    with arena.client() as client:
        file_id = arena.upload_until_taken(client, "cannot be had")
        arena.wait_until_ready([file_id])
        s3_of(arena).inject("open", fault=s3_proxy.hang)
        started = time.monotonic()
        with ThreadPoolExecutor(DOWNLOADS) as pool:
            answers = pool.map(lambda _: _status_of(arena, f"/v1/files/{file_id}/content"), range(DOWNLOADS))
            time.sleep(1)
            assert seconds_of(lambda: client.get("/readyz")) < READINESS_SECONDS
            assert set(answers) == {503}
        assert time.monotonic() - started < BOUND_SECONDS


@pytest.mark.slow
@pytest.mark.fault("F23", "S3 drips a download", "503 within half a minute, never a short 200")
def test_download_that_drips_is_refused_in_time(arena: Arena):
    with arena.client(timeout_seconds=90) as client:
        file_id = arena.upload_until_taken(client, "dripping")
        arena.wait_until_ready([file_id])
        s3_of(arena).inject("open", fault=s3_proxy.drip)
        started = time.monotonic()
        assert client.get(f"/v1/files/{file_id}/content").status_code == 503
        assert time.monotonic() - started < BOUND_SECONDS


@pytest.mark.fault(
    "F24", "S3 completes an upload, and its answer is lost or an error", "decided by HEAD: 201"
)
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (s3_proxy.lose_answer, 1),
        (s3_proxy.lose_answer, 100),
        (s3_proxy.error_in_200_after_the_work, 1),
        (s3_proxy.error_in_200_after_the_work, 100),
    ],
    ids=["lost once", "lost each time", "error once", "error each time"],
)
def test_completion_of_unknown_outcome_is_decided_by_head(arena: Arena, fault: Fault, times: int):
    s3_of(arena).inject("complete_upload", fault=fault, times=times)
    with arena.client() as client:
        answer = arena.post(client, "large.bin", LARGE)
        assert answer is not None
        assert answer.status_code == 201, answer.text


@pytest.mark.fault("F24", "S3 answers 200 with an error inside, and nothing happened", "503, nothing stays")
def test_completion_that_failed_under_a_200_is_refused(arena: Arena):
    s3_of(arena).inject("complete_upload", fault=s3_proxy.error_in_200)
    _check_refused(arena, LARGE)


@pytest.mark.slow
@pytest.mark.fault("F25", "S3 truncates what a worker fetches", "never a rendition of a part; tried again")
def test_worker_makes_nothing_of_a_truncated_original(arena: Arena):
    s3_of(arena).inject("open", fault=s3_proxy.truncate, times=2)
    with arena.client() as client:
        arena.wait_until_ready([arena.upload_until_taken(client, "truncated")])


@pytest.mark.fault("F25", "S3 truncates a download", "503, or the connection breaks; never a clean short 200")
def test_truncated_download_is_broken_off(arena: Arena):
    with arena.client() as client:
        photo = arena.upload_until_taken(client, "broken off")
        large = arena.post(client, "large.bin", LARGE)
        assert large is not None
        file_id = large.json()["items"][0]["id"]
        arena.wait_until_ready([photo])
        s3_of(arena).inject("open", fault=s3_proxy.truncate, times=2)
        assert client.get(f"/v1/files/{photo}/content").status_code == 503
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get(f"/v1/files/{file_id}/content")
        assert client.get(f"/v1/files/{file_id}/content").content == LARGE


@pytest.mark.slow
@pytest.mark.fault("F26", "S3 gives a worker other bytes than it got", "found by SHA-256; tried again")
def test_worker_makes_nothing_of_altered_bytes(arena: Arena):
    s3_of(arena).inject("open", fault=s3_proxy.flip_a_bit, times=2)
    with arena.client() as client:
        arena.wait_until_ready([arena.upload_until_taken(client, "altered")])


@pytest.mark.slow
@pytest.mark.fault("F27", "S3 refuses the credentials", "503 and not ready, nothing disclosed, nothing stays")
def test_refused_credentials_are_an_outage(arena: Arena):
    s3_of(arena).inject(*WRITES, "open", "check", "head", fault=status(403, "AccessDenied"))
    with arena.client() as client:
        answer = arena.upload(client, "forbidden")
        assert answer is not None
        assert answer.status_code == 503
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["storage"]) == (503, "unavailable")


def _status_of(arena: Arena, path: str) -> int:
    with arena.client() as client:
        return client.get(path).status_code


def _upload_all_sorts(arena: Arena) -> None:
    """A photo, which a worker fetches too, and a file of several parts; both read back."""
    with arena.client() as client:
        photo = arena.upload(client, "photo")
        large = arena.post(client, "large.bin", LARGE)
        assert photo is not None
        assert large is not None
        assert (photo.status_code, large.status_code) == (201, 201)
        arena.wait_until_ready([photo.json()["items"][0]["id"]])
        answer = client.get(f"/v1/files/{large.json()['items'][0]['id']}/content")
        assert answer.content == LARGE


def _check_refused(arena: Arena, body: bytes) -> None:
    s3 = s3_of(arena)
    started = time.monotonic()
    with arena.client() as client:
        answer = arena.post(client, "refused.bin", body)
    assert answer is not None
    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
    assert time.monotonic() - started < BOUND_SECONDS
    s3.heal()
    arena.service.wait_until(
        lambda: not arena.configuration.objects.keys() and not arena.configuration.objects.unfinished(),
        "nothing of the upload is left",
    )
