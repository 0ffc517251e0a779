"""words and tags by which files are found; indexes for lists in other orders"""

import json
import re
import unicodedata
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BATCH = 1000

_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


def upgrade() -> None:
    op.create_table(
        "file_terms",
        sa.Column("file_id", sa.Uuid(), nullable=False),
        sa.Column(
            "term",
            sa.String(length=101).with_variant(sa.String(length=101, collation="C"), "postgresql"),
            nullable=False,
        ),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_file_terms_file_id_files"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("file_id", "term", name=op.f("pk_file_terms")),
    )
    _fill()
    op.create_index("ix_file_terms_owner_id_term_file_id", "file_terms", ["owner_id", "term", "file_id"])
    for column in ("kind", "filename", "size_bytes"):
        op.create_index(f"ix_files_owner_id_{column}_id", "files", ["owner_id", column, "id"])
    public = sa.text("visibility = 'public'")
    op.create_index(
        "ix_files_owner_id_id_public",
        "files",
        ["owner_id", "id"],
        postgresql_where=public,
        sqlite_where=public,
    )


def downgrade() -> None:
    op.drop_index("ix_files_owner_id_id_public", "files")
    for column in ("kind", "filename", "size_bytes"):
        op.drop_index(f"ix_files_owner_id_{column}_id", "files")
    op.drop_table("file_terms")


def _fill() -> None:
    """The terms of the files that are there, as the service makes them at the time of this migration."""
    connection = op.get_bind()
    terms = sa.table("file_terms", sa.column("file_id"), sa.column("term"), sa.column("owner_id"))
    files = connection.execute(sa.text("SELECT id, owner_id, filename, tags FROM files"))
    while batch := files.fetchmany(BATCH):
        rows = [
            {"file_id": file_id, "term": term, "owner_id": owner_id}
            for file_id, owner_id, filename, tags in batch
            for term in sorted(_terms_of(filename, json.loads(tags) if isinstance(tags, str) else tags))
        ]
        if rows:
            connection.execute(sa.insert(terms), rows)


def _terms_of(filename: str, tags: list[str]) -> set[str]:
    found = dict.fromkeys(_terms(" ".join((filename, *tags))))
    return {*list(found)[:64], *(f"#{tag}" for tag in tags)}


def _terms(text: str) -> Iterator[str]:
    folded = "".join(map(_without_accent, unicodedata.normalize("NFKC", text).casefold()))
    spaced = "".join(c if unicodedata.category(c)[0] in "LNM" else " " for c in folded)
    for run in _UNSPACED.sub(lambda found: f" {found.group()} ", spaced).split():
        word = run[:64]
        if _UNSPACED.match(word):
            yield from (word[i : i + 2] for i in range(len(word) - 1))
            yield word[-1]
        else:
            yield word


def _without_accent(character: str) -> str:
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base.isascii() and base.isalnum() else character
