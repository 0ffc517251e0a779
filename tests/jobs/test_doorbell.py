"""The doorbell: a ring reaches the broker soon, or costs nobody anything."""

import time
from collections.abc import Callable, Iterator
from uuid import UUID, uuid4

import pytest

from media_service.broker.client import MAX_WAITING_RINGS, Doorbell, JobSender
from media_service.broker.messages import Lane
from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.jobs.lifecycle import JobStatus
from media_service.tables import Job
from tests.support import images
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, Backend
from tests.support.valkey import ValkeyServer


class FakeSender(JobSender):
    """A broker that keeps messages, is away, or takes its time."""

    def __init__(self) -> None:
        self.sent: list[tuple[UUID, Lane]] = []
        self.waiting = 0
        self.is_away = False
        self.calls = 0
        self.is_closed = False

    def send(self, job_id: UUID, lane: Lane) -> None:
        self.calls += 1
        if self.is_away:
            raise MediaServiceError(ErrorKind.UNAVAILABLE, "broker-unavailable", "away")
        self.sent.append((job_id, lane))

    def depth(self, lane: Lane) -> int:  # noqa: ARG002 - as the sender has it
        return self.waiting

    def close(self) -> None:
        self.is_closed = True


def wait_until(is_true: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender()


@pytest.fixture
def bell(sender: FakeSender) -> Iterator[Doorbell]:
    bell = Doorbell(sender, window=3)
    bell.start()
    yield bell
    bell.close()


def test_rings_arrive_in_order_in_their_lanes(bell: Doorbell, sender: FakeSender):
    rings = [(uuid4(), lane) for lane in (Lane.UPLOADS, Lane.HOUSEKEEPING, Lane.UPLOADS)]
    for job_id, lane in rings:
        bell.ring(job_id, lane)
    wait_until(lambda: sender.sent == rings)
    assert bell.has_room(Lane.UPLOADS)


def test_broker_that_fails_opens_the_breaker_and_ends_the_trying(bell: Doorbell, sender: FakeSender):
    sender.is_away = True
    bell.ring(uuid4(), Lane.UPLOADS)
    wait_until(lambda: not bell.has_room(Lane.UPLOADS))
    assert not bell.has_room(Lane.HOUSEKEEPING)
    for _ in range(50):
        bell.ring(uuid4(), Lane.UPLOADS)
    time.sleep(0.1)
    assert sender.calls == 1
    sender.is_away = False
    wait_until(lambda: bell.has_room(Lane.UPLOADS))
    bell.ring(job_id := uuid4(), Lane.UPLOADS)
    wait_until(lambda: sender.sent[-1:] == [(job_id, Lane.UPLOADS)])


def test_full_lane_leaves_ringing_to_the_dispatcher(bell: Doorbell, sender: FakeSender):
    sender.waiting = 3
    bell.ring(uuid4(), Lane.UPLOADS)
    wait_until(lambda: not bell.has_room(Lane.UPLOADS))
    assert bell.has_room(Lane.HOUSEKEEPING)


def test_full_queue_of_rings_drops_them_without_a_word_to_the_request(sender: FakeSender):
    bell = Doorbell(sender, window=3)  # never started, so nothing is taken out
    for _ in range(MAX_WAITING_RINGS + 5):
        bell.ring(uuid4(), Lane.UPLOADS)
    assert not bell.has_room(Lane.UPLOADS)


def test_close_sends_what_waits_and_closes_the_sender(sender: FakeSender):
    bell = Doorbell(sender, window=3)
    for _ in range(3):
        bell.ring(uuid4(), Lane.UPLOADS)
    bell.start()
    bell.close()
    assert len(sender.sent) == 3
    assert sender.is_closed


@pytest.fixture
def lonely_valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as valkey:
        yield valkey


def test_sender_puts_messages_into_lanes_and_counts_them(lonely_valkey: ValkeyServer):
    sender = JobSender(lonely_valkey.url)
    assert sender.depth(Lane.UPLOADS) == 0
    for _ in range(3):
        sender.send(uuid4(), Lane.UPLOADS)
    assert (sender.depth(Lane.UPLOADS), sender.depth(Lane.HOUSEKEEPING)) == (3, 0)
    lonely_valkey.kill()
    for call in (lambda: sender.send(uuid4(), Lane.UPLOADS), lambda: sender.depth(Lane.UPLOADS)):
        with pytest.raises(MediaServiceError) as caught:
            call()
        assert (caught.value.kind, caught.value.code) == (ErrorKind.UNAVAILABLE, "broker-unavailable")
    lonely_valkey.start()
    assert sender.depth(Lane.UPLOADS) == 0
    sender.send(uuid4(), Lane.UPLOADS)
    assert sender.depth(Lane.UPLOADS) == 1
    sender.close()


def test_broker_that_is_away_costs_an_upload_nothing(clean_backend: Backend):
    # A Redis that never was: nobody listens on the socket.
    with ApiServer(clean_backend.settings, redis_url="unix:///tmp/media-test-no-such.sock") as server:
        for _ in range(3):
            started = time.monotonic()
            answer = server.client.post("/v1/files", headers=ADMIN, content=images.jpeg(8, 8))
            assert answer.status_code == 201
            assert time.monotonic() - started < 2
        wait_until(lambda: clean_backend.rows(Job)[0].status is JobStatus.QUEUED)
        # Once the breaker is open, a job is left as never sent, for the dispatcher's next round.
        wait_until(
            lambda: (
                server.client.post("/v1/files", headers=ADMIN, content=images.jpeg(8, 8)).status_code == 201
                and clean_backend.rows(Job)[-1].sent_at_ms is None
            )
        )


def test_upload_with_a_broker_counts_as_sent_and_rings(clean_backend: Backend, lonely_valkey: ValkeyServer):
    with ApiServer(clean_backend.settings, redis_url=lonely_valkey.url) as server:
        server.client.post("/v1/files", headers=ADMIN, content=images.jpeg(8, 8))
        [job] = clean_backend.rows(Job)
        assert job.sent_at_ms is not None
        sender = JobSender(lonely_valkey.url)
        wait_until(lambda: sender.depth(Lane.UPLOADS) == 1)
        sender.close()
