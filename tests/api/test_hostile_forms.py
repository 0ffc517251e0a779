"""Every row of the table of hostile forms: the code, that nothing stays, and that it costs little."""

import itertools
import time
from collections.abc import Iterable

import psutil
import pytest

from media_service.tables import File
from tests.support.api_server import ApiServer
from tests.support.backends import ADMIN, ADMIN_KEY, Backend
from tests.support.forms import CONTENT_TYPE
from tests.support.hostile_forms import FLOODS, ROWS, FormFlood, HostileForm
from tests.support.problems import assert_problem
from tests.support.raw_http import RawAnswer, exchange

SECONDS = 4
"""A refused flood is drained for two at the most."""
GROWTH_BYTES = 16 * 2**20
"""What a flood of 40 MB may add to the process, which is that of its sender too."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group} {row.name}")
def test_hostile_form_is_refused_without_a_trace_or_taken_for_what_it_is(
    server: ApiServer, clean_backend: Backend, row: HostileForm
):
    headers = {**ADMIN, "Content-Type": row.content_type}
    sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    begun = time.monotonic()
    answer = server.client.post("/v1/files", headers=sent, content=row.body)
    assert time.monotonic() - begun < SECONDS
    if isinstance(row.expected, list):
        assert answer.status_code == 201, answer.text
        stored = [(file.filename, clean_backend.read(file.key)) for file in clean_backend.rows(File)]
        assert stored == row.expected
    else:
        assert_problem(answer, *row.expected)
        assert clean_backend.leftovers() == {}


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: flood.name)
def test_flood_is_refused_in_its_beginning_and_costs_no_memory(
    server: ApiServer, clean_backend: Backend, flood: FormFlood
):
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.monotonic()
    peak = 0

    def watched() -> Iterable[bytes]:
        nonlocal peak
        for piece in flood.pieces():
            yield piece
            peak = max(peak, process.memory_info().rss)

    [answer] = send(server, watched(), flood.declared_bytes)
    assert time.monotonic() - begun < SECONDS
    assert (answer.status, answer.code) == flood.expected
    assert peak - before < GROWTH_BYTES
    assert clean_backend.leftovers() == {}


def send(server: ApiServer, pieces: Iterable[bytes], declared_bytes: int | None) -> list[RawAnswer]:
    framing = "Transfer-Encoding: chunked" if declared_bytes is None else f"Content-Length: {declared_bytes}"
    head = [
        "POST /v1/files HTTP/1.1",
        "Host: test",
        f"Authorization: Bearer {ADMIN_KEY}",
        f"Content-Type: {CONTENT_TYPE}",
        framing,
        "",
        "",
    ]
    if declared_bytes is None:
        pieces = itertools.chain(
            (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece), [b"0\r\n\r\n"]
        )
    return exchange(server.port, itertools.chain(["\r\n".join(head).encode()], pieces))
