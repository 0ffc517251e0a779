"""The orders in which files are listed, each of them a keyset. Core room: builds expressions, runs none."""

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from media_service.files.models import File
from media_service.pagination import Cursor, bad_cursor

_COLUMNS: dict[str, tuple[InstrumentedAttribute[Any], type[str] | type[int]]] = {
    "filename": (File.filename, str),
    "size": (File.size_bytes, int),
}
"""What comes before the id; ids alone are in order of creation (UUIDv7)."""


class FileOrder(StrEnum):
    """A minus puts the newest, last or largest first. Equal ones follow in order of creation."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    BY_NAME = "filename"
    BY_NAME_DOWN = "-filename"
    SMALLEST = "size"
    LARGEST = "-size"

    def cursor_after(self, file: File) -> Cursor:
        """Where the page after this file begins."""
        if self._name not in _COLUMNS:
            return Cursor(file.id)
        column, _ = _COLUMNS[self._name]
        return Cursor(file.id, getattr(file, column.key))

    def page(
        self, statement: Select[File], row_id: ColumnElement[Any], *, after: Cursor | None, limit: int
    ) -> Select[File]:
        """One page of a statement about files; `row_id` is whichever column has their ids in order.

        Raises MediaServiceError (invalid) for a cursor of another order.
        """
        columns = [row_id]
        if self._name in _COLUMNS:
            columns.insert(0, _COLUMNS[self._name][0].expression)
        if after is not None:
            values = self._values(after)
            statement = statement.where(self._beyond(columns, values))
            if len(columns) == 1 and row_id is not File.__table__.c.id:
                # PostgreSQL carries an equality over a join, but no inequality: where it merges the two
                # indexes, it would read that of the files from its very end.
                statement = statement.where(self._beyond([File.__table__.c.id], values))
        return statement.order_by(*(c.desc() if self._is_descending else c for c in columns)).limit(limit)

    @property
    def _name(self) -> str:
        return self.removeprefix("-")

    @property
    def _is_descending(self) -> bool:
        return self.startswith("-")

    def _values(self, after: Cursor) -> list[Any]:
        _, value_type = _COLUMNS.get(self._name, (None, type(None)))
        if not isinstance(after.value, value_type):
            raise bad_cursor("The cursor belongs to a list in another order.")
        return [after.last_id] if after.value is None else [after.value, after.last_id]

    def _beyond(self, columns: list[ColumnElement[Any]], values: list[Any]) -> ColumnElement[bool]:
        here = [literal(value, column.type) for value, column in zip(values, columns, strict=True)]
        # A row of one value would be fine as well, but SQLite then no longer uses the index.
        left, right = (columns[0], here[0]) if len(columns) == 1 else (tuple_(*columns), tuple_(*here))
        return left < right if self._is_descending else left > right
