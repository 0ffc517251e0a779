"""The schema as a whole."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, ForeignKeyConstraint, Table, UniqueConstraint

from media_service.tables import Base

FOREIGN_KEYS = [
    pytest.param(table, constraint, id=f"{table.name}.{constraint.column_keys[0]}")
    for table in Base.metadata.sorted_tables
    for constraint in sorted(table.foreign_key_constraints, key=lambda known: list(known.column_keys))
]


def leading_columns(table: Table) -> Iterator[Column[object]]:
    """The first column of everything that the database finds rows of a table by."""
    for key in (table.primary_key, *table.constraints):
        if isinstance(key, UniqueConstraint) or key is table.primary_key:
            yield next(iter(key.columns))
    for index in table.indexes:
        if not index.dialect_kwargs:  # a partial one does not have all rows
            yield next(iter(index.columns))


@pytest.mark.parametrize(("table", "constraint"), FOREIGN_KEYS)
def test_rows_that_refer_to_another_are_found_by_an_index(table: Table, constraint: ForeignKeyConstraint):
    # Else deleting one row there reads this whole table.
    assert constraint.columns[0] in set(leading_columns(table))


def test_there_are_foreign_keys_to_look_at():
    assert len(FOREIGN_KEYS) >= 9
