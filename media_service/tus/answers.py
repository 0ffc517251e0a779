"""What both protocols answer with. API room."""

from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from media_service.uploads.resumable.views import UploadView


@dataclass(frozen=True, slots=True)
class UploadAnswer:
    """A status and headers; `file_id` if the body is to be the description of that file."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    file_id: UUID | None = None


class Links:
    """Public addresses, from the configured base URL and never from a Host header."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def upload(self, upload_id: UUID) -> str:
        return f"{self._base_url}/v1/uploads/{upload_id}"

    def of_file(self, view: UploadView) -> dict[str, str]:
        """Headers that name the file of a finished upload."""
        if view.file_id is None:
            return {}
        file_id = str(view.file_id)
        return {"X-File-Id": file_id, "Content-Location": f"{self._base_url}/v1/files/{file_id}"}


def http_date(moment: datetime) -> str:
    """An IMF-fixdate (RFC 9110 §5.6.7)."""
    return format_datetime(moment, usegmt=True)
