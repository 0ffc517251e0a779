"""Statements about the terms of files, once. Core room: builds statements, runs none."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Delete, Select, delete, false, insert, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from media_service.auth.models import User
from media_service.files.models import File, FileTerm
from media_service.files.terms import search_terms, tag_term, terms_of

INSERT_TERMS = insert(FileTerm.metadata.tables[FileTerm.__tablename__])
"""Rows come from `term_rows`."""

_LAST_CHARACTER = "\U0010ffff"
"""Sorts after every character of a word."""


def term_rows(file: File) -> list[dict[str, Any]]:
    """The rows by which a file is found; none for a name without a letter and no tags."""
    terms = terms_of(file.filename, file.tags)
    return [{"file_id": file.id, "term": term, "owner_id": file.owner_id} for term in sorted(terms)]


def delete_terms(file_id: UUID) -> Delete:
    return delete(FileTerm).where(FileTerm.file_id == file_id).execution_options(synchronize_session=False)


def with_terms(
    statement: Select[File], *, owner_id: UUID | None, tag: str | None, words: str | None
) -> tuple[Select[File], ColumnElement[UUID]]:
    """Narrow a statement to files with this tag and these words.

    Also returns the column that has the ids of what is found: an index of terms where there is one, which a
    page is then read off in order.
    """
    exact = [] if tag is None else [tag_term(tag)]
    if words is not None and words.strip():
        wanted = search_terms(words)
        if wanted is None:
            return statement.where(false()), File.__table__.c.id
        exact += wanted.exact
        if wanted.prefix is not None:
            statement = statement.where(File.id.in_(_files_with_prefix(wanted.prefix, owner_id)))
    row_id: ColumnElement[UUID] = File.__table__.c.id
    for term in dict.fromkeys(exact):
        found = aliased(FileTerm)
        statement = statement.join(found, found.file_id == File.id)
        statement = statement.where(found.term == term, _is_of(found.owner_id, owner_id))
        row_id = found.file_id.expression
    return statement, row_id


def _files_with_prefix(prefix: str, owner_id: UUID | None) -> Select[UUID]:
    return select(FileTerm.file_id).where(
        _is_of(FileTerm.owner_id, owner_id),
        FileTerm.term >= prefix,
        FileTerm.term < prefix + _LAST_CHARACTER,
    )


def _is_of(column: InstrumentedAttribute[UUID], owner_id: UUID | None) -> ColumnElement[bool]:
    """Of one owner; or of any, spelled so that the index is asked once for each instead of read whole."""
    return column.in_(select(User.id)) if owner_id is None else column == owner_id
