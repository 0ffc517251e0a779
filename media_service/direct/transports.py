"""How parts come into the storage: by its own URLs, or by URLs that this service signs. API room."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from media_service.auth.keyring import Keyring
from media_service.auth.signing import UrlSigner
from media_service.database import Database
from media_service.direct import queries
from media_service.direct.models import DirectPart, DirectUpload
from media_service.direct.plans import PartPlan
from media_service.models import utc_now
from media_service.storage.aio import AsyncStorage
from media_service.storage.port import PartReceipt, PresignsUploads


@dataclass(frozen=True, slots=True)
class ArrivedPart:
    """A part that the storage holds, and the receipts that make it a piece of the object."""

    number: int
    size_bytes: int
    etag: str
    receipts: Sequence[PartReceipt]


class PartTransport(Protocol):
    async def urls(
        self, upload: DirectUpload, storage_upload_id: str, numbers: Sequence[int], *, expires_at: datetime
    ) -> dict[int, str]:
        """URLs for PUTs of these parts."""
        ...

    async def arrived(self, upload: DirectUpload, storage_upload_id: str) -> list[ArrivedPart]:
        """What has come so far, in order. Raises ObjectNotFoundError if the storage has no such upload."""
        ...


class PresignedTransport:
    """Clients talk to the storage; it alone knows what came."""

    def __init__(self, storage: AsyncStorage, presigner: PresignsUploads) -> None:
        self._storage = storage
        self._presigner = presigner

    async def urls(
        self, upload: DirectUpload, storage_upload_id: str, numbers: Sequence[int], *, expires_at: datetime
    ) -> dict[int, str]:
        plan = PartPlan(upload.size_bytes, upload.part_size_bytes)
        expires_in = expires_at - utc_now()
        # In a thread: a signature costs a tenth of a millisecond, and there may be a thousand.
        return await self._storage.run(
            lambda: {
                number: self._presigner.presign_part(
                    upload.key,
                    storage_upload_id,
                    number,
                    size_bytes=plan.length_of(number),
                    expires_in=expires_in,
                )
                for number in numbers
            }
        )

    async def arrived(self, upload: DirectUpload, storage_upload_id: str) -> list[ArrivedPart]:
        receipts = await self._storage.run(lambda: self._presigner.list_parts(upload.key, storage_upload_id))
        return [
            ArrivedPart(receipt.number, receipt.size_bytes, receipt.etag, [receipt]) for receipt in receipts
        ]


class SignedTransport:
    """Clients talk to this service (`parts.py`), which notes what came."""

    def __init__(self, database: Database, keyring: Keyring, *, base_url: str) -> None:
        self._database = database
        self._keyring = keyring
        self._base_url = base_url

    async def urls(
        self,
        upload: DirectUpload,
        storage_upload_id: str,  # noqa: ARG002 - the protocol's signature
        numbers: Sequence[int],
        *,
        expires_at: datetime,
    ) -> dict[int, str]:
        signer = UrlSigner(await self._keyring.keys())
        return {
            number: self._sign(signer, "PUT", part_path(upload.session_id, number), expires_at)
            for number in numbers
        }

    async def form_url(self, upload_id: UUID, *, expires_at: datetime) -> str:
        """A URL of ours that takes a whole file as a form."""
        return self._sign(UrlSigner(await self._keyring.keys()), "POST", form_path(upload_id), expires_at)

    def _sign(self, signer: UrlSigner, method: str, path: str, expires_at: datetime) -> str:
        signed = signer.sign(path, {}, expires_at=int(expires_at.timestamp()), epoch=0, method=method)
        return self._base_url + signed

    async def arrived(
        self,
        upload: DirectUpload,
        storage_upload_id: str,  # noqa: ARG002 - the protocol's signature
    ) -> list[ArrivedPart]:
        async with self._database.read() as session:
            parts = list(await session.scalars(queries.parts_of(upload.session_id)))
        return [
            ArrivedPart(part.number, part.size_bytes, part.etag, _receipts(upload, part)) for part in parts
        ]


def part_path(upload_id: UUID, number: int) -> str:
    return f"/v1/signed/uploads/{upload_id}/parts/{number}"


def form_path(upload_id: UUID) -> str:
    return f"/v1/signed/uploads/{upload_id}/form"


def _receipts(upload: DirectUpload, part: DirectPart) -> list[PartReceipt]:
    """The storage counts pieces where the client counts parts."""
    piece_bytes = upload.piece_size_bytes
    first = (part.number - 1) * (upload.part_size_bytes // piece_bytes) + 1
    return [
        PartReceipt(first + index, min(piece_bytes, part.size_bytes - index * piece_bytes), etag)
        for index, etag in enumerate(part.piece_etags)
    ]
