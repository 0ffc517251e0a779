"""From a file's rows to what clients see. API room, though it only computes."""

import hashlib
import re
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from media_service import __version__
from media_service.files.models import File, Rendition
from media_service.files.schemas import FileOut, FileUrls, RenditionOut, StatusReason

NOTHING_KNOWN: dict[str, Any] = {"width": None, "height": None, "exif": {}, "duration": None}
"""Members of `metadata` that are always there, before and without processing."""


class FilePresenter:
    """Builds public links from the configured base URL, never from a Host header."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.namespace = f"{__version__} {base_url}"
        """All that shapes what is shown and is not in the database."""
        self._edition = hashlib.sha256(self.namespace.encode()).hexdigest()[:8]

    def entity_tag(self, record_tag: str) -> str:
        """The tag of a whole description: the record's own, and who describes it. `names_version` takes both.

        After an upgrade or with another public URL the same record is described in other words.
        """
        return f'{record_tag[:-1]}-{self._edition}"'

    def file(self, file: File, renditions: list[Rendition]) -> FileOut:
        """The whole description of a file."""
        url = self.file_url(file.id)
        reason = (
            StatusReason(code=file.status_code, detail=file.status_detail or "") if file.status_code else None
        )
        return FileOut(
            id=file.id,
            filename=file.filename,
            content_type=file.content_type,
            size=file.size_bytes,
            sha256=file.sha256,
            kind=file.kind,
            status=file.status,
            status_reason=reason,
            visibility=file.visibility,
            tags=file.tags,
            custom=file.custom,
            created_at=file.created_at,
            updated_at=file.updated_at,
            etag=record_etag(file.version),
            metadata=NOTHING_KNOWN | file.media,
            placeholder=file.placeholder,
            renditions=[self.rendition(rendition) for rendition in renditions],
            urls=FileUrls(self=url, content=f"{url}/content", download=f"{url}/download"),
        )

    def rendition(self, rendition: Rendition) -> RenditionOut:
        return RenditionOut(
            name=rendition.name,
            content_type=rendition.content_type,
            width=rendition.width_px,
            height=rendition.height_px,
            size=rendition.size_bytes,
            url=f"{self.file_url(rendition.file_id)}/renditions/{rendition.name}/content",
        )

    def next_link(self, path: str, query: list[tuple[str, str]], cursor: str) -> str:
        """The `Link` header to the next page of the list at `path` (RFC 8288)."""
        kept = [(name, value) for name, value in query if name != "cursor"]
        parameters = urlencode([*kept, ("cursor", cursor)])
        return f'<{self._base_url}{path}?{parameters}>; rel="next"'

    def next_links(self, path: str, query: list[tuple[str, str]], cursor: str | None) -> dict[str, str]:
        """The headers of a page: the link to the next one, if there is one."""
        return {} if cursor is None else {"Link": self.next_link(path, query, cursor)}

    def file_url(self, file_id: UUID) -> str:
        return f"{self._base_url}/v1/files/{file_id}"


def record_etag(version: int) -> str:
    """The entity tag of a record: its version (the content's tag is another)."""
    return f'"{version}"'


def names_version(tag: str, version: int) -> bool:
    """Whether a tag is that of a record of this version, or of a description of it."""
    return re.fullmatch(rf'"{version}(-[0-9a-f]{{8}})?"', tag) is not None
