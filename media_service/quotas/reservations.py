"""Quotas as transactions keep them: reserve before the bytes, charge with the files. Core room.

A reservation is two columns of a row of `upload_sessions`: whoever deletes the row (the commit, an abort, the
sweeper, the removal of the user) releases it, so there is no counter that could drift. What is stored is
counted in the row of the owner. Whoever reserves or charges locks that row first, so of any number at once
each sees what those before it left: what is stored and what is reserved never exceed the quota together.

For protocols whose uploads have a row of their own (tus, direct uploads), all of it in one transaction:

- at the creation: `reserve(...)`, then insert the row with `reserved_bytes` and `reserved_files`;
- to grow: `reserve(..., but=[upload_id])` with the whole new size, then `quotas.queries.set_reservation`;
- at the end: whatever makes files through `Finalizer` is charged by it; the row has to be deleted in that
  same transaction, before. An abort deletes the row, and that is all.

All functions here take a blocking `Session`: call them in `Database.run_transaction`, which repeats a
transaction that lost a deadlock, or by `AsyncSession.run_sync`.
"""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy.orm import Session

from media_service.auth.lost_owner import owner_disabled, owner_lost
from media_service.quotas import queries
from media_service.quotas.allowance import Allowance


def lock_allowance(session: Session, owner_id: UUID, *, but: Collection[UUID] = ()) -> Allowance:
    """What an owner may still store, locked until the end of the transaction.

    `but`: sessions whose reservations do not count, because the caller is about to replace them. Raises
    MediaServiceError (unauthenticated) if the owner was deleted.
    """
    figures = session.execute(queries.figures_for_change(owner_id)).one_or_none()
    if figures is None:
        raise owner_lost()
    quota_bytes, quota_files, stored_bytes, stored_files = figures
    return _allowance(session, owner_id, (quota_bytes, quota_files, stored_bytes, stored_files), but=but)


def reserve(
    session: Session, owner_id: UUID, *, size_bytes: int, files: int = 1, but: Collection[UUID] = ()
) -> None:
    """Make sure that so much is free; the caller then writes it into its session's row, in this transaction.

    Nobody else reserves or charges until the transaction ends. Raises MediaServiceError: quota exceeded,
    unauthenticated (the owner was deleted).
    """
    lock_allowance(session, owner_id, but=but).check(size_bytes=size_bytes, files=files)


def charge(session: Session, owner_id: UUID, *, size_bytes: int, files: int) -> None:
    """Count files that this transaction makes, and refuse them if they do not fit. The last thing it does.

    The rows of their sessions have to be deleted before, or they would count twice. Raises as `reserve` does,
    and also unauthenticated if the owner was disabled.
    """
    charged = session.execute(*queries.charge(owner_id, size_bytes=size_bytes, files=files)).one_or_none()
    if charged is None:
        raise owner_lost()
    disabled_at, quota_bytes, quota_files, stored_bytes, stored_files = charged
    if disabled_at is not None:
        raise owner_disabled()
    # The quota is read here and not at the start of the request: it may have been set while bytes arrived.
    before = (quota_bytes, quota_files, stored_bytes - size_bytes, stored_files - files)
    _allowance(session, owner_id, before).check(size_bytes=size_bytes, files=files)


def _allowance(
    session: Session, owner_id: UUID, figures: queries.Figures, *, but: Collection[UUID] = ()
) -> Allowance:
    if figures[0] is None and figures[1] is None:
        return Allowance()
    size_bytes, files = session.execute(*queries.reserved(owner_id, but=but)).one()
    return Allowance.of_figures(figures, reserved=(size_bytes, files))
