"""Every statement about direct uploads, once. Core room: builds statements, runs none."""

from uuid import UUID

from sqlalchemy import Delete, Select, delete, insert, select

from media_service.auth.models import UploadToken, User
from media_service.direct.models import DirectPart, DirectUpload
from media_service.uploads.models import UploadSession

INSERT_DIRECT_UPLOADS = insert(DirectUpload.metadata.tables[DirectUpload.__tablename__])
"""Rows come as dictionaries (`Base.column_values`)."""


def direct_upload(upload_id: UUID) -> Select[DirectUpload, UploadSession, User, UploadToken | None]:
    """A direct upload of an enabled user, with its session, that user and the upload token it came with."""
    return (
        select(DirectUpload, UploadSession, User, UploadToken)
        .join(UploadSession, UploadSession.id == DirectUpload.session_id)
        .join(User, User.id == UploadSession.owner_id)
        .outerjoin(UploadToken, UploadToken.id == UploadSession.upload_token_id)
        .where(DirectUpload.session_id == upload_id, User.disabled_at.is_(None))
    )


def parts_of(upload_id: UUID) -> Select[DirectPart]:
    """In order of their numbers."""
    return select(DirectPart).where(DirectPart.session_id == upload_id).order_by(DirectPart.number)


def delete_part(upload_id: UUID, number: int) -> Delete:
    """Forget a part that was sent again."""
    return (
        delete(DirectPart)
        .where(DirectPart.session_id == upload_id, DirectPart.number == number)
        .execution_options(synchronize_session=False)
    )
