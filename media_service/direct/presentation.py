"""From direct uploads to what clients see. API room, though it only computes."""

from collections.abc import Sequence

from media_service.direct.schemas import (
    ArrivedPartOut,
    DirectUploadOut,
    DirectUploadState,
    PartUrl,
)
from media_service.direct.service import PartUrls
from media_service.direct.transports import ArrivedPart
from media_service.direct.uploads import OpenDirectUpload

FIRST_URLS = 100
"""In the first answer: enough for 6 GiB of the usual parts."""


def first_numbers(upload: OpenDirectUpload) -> range:
    return range(1, min(upload.plan.count, FIRST_URLS) + 1)


def started(upload: OpenDirectUpload, made: PartUrls) -> DirectUploadOut:
    plan = upload.plan
    return DirectUploadOut(
        id=upload.id,
        url=made.urls[1] if plan.is_single else None,
        headers={},
        part_size=None if plan.is_single else plan.part_size_bytes,
        part_count=None if plan.is_single else plan.count,
        parts=None if plan.is_single else part_urls(made),
        expires_at=upload.expires_at,
        urls_expire_at=made.expire_at,
    )


def part_urls(made: PartUrls) -> list[PartUrl]:
    return [PartUrl(number=number, url=url) for number, url in made.urls.items()]


def state(upload: OpenDirectUpload, parts: Sequence[ArrivedPart]) -> DirectUploadState:
    return DirectUploadState(
        id=upload.id,
        filename=upload.row.filename,
        size=upload.row.size_bytes,
        part_size=upload.row.part_size_bytes,
        part_count=None if upload.row.size_bytes is None else upload.plan.count,
        parts=[ArrivedPartOut(number=part.number, size=part.size_bytes, etag=part.etag) for part in parts],
        expires_at=upload.expires_at,
    )
