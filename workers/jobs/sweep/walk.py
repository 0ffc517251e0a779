"""Walks through listings and tables of any length in bounded steps. Worker room."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select

from media_service.blocking_database import Database

T = TypeVar("T")

MAX_FOUND = 20_000
"""Looked at per round: a round must end in bounded time in a bucket of any size."""
BATCH = 200


class Walk(Generic[T]):
    """Goes on where it stopped, and starts over when it is through."""

    def __init__(self, start: Callable[[], Iterator[T]]) -> None:
        self._start = start
        self._rest: Iterator[T] | None = None
        self.is_through = False

    def batches(self) -> Iterator[list[T]]:
        """At most MAX_FOUND more, in lists of BATCH; an error of the listing makes it start over."""
        rest, self._rest = self._rest or self._start(), None
        self.is_through = False
        for _ in range(MAX_FOUND // BATCH):
            batch = list(islice(rest, BATCH))
            if not batch:
                self.is_through = True
                return
            yield batch
        self._rest = rest


def rows(
    database: Database, page: Callable[[UUID | None], Select[T]], *, position: Callable[[T], UUID]
) -> Iterator[T]:
    """Every row of a statement that gives one page after a position; no transaction outlives a page."""
    after = None
    while True:
        with database.read() as session:
            found = list(session.scalars(page(after)))
        if not found:
            return
        yield from found
        after = position(found[-1])
