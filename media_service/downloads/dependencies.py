"""The download service of this process, and what downloads are asked for. API room."""

from typing import Annotated

from fastapi import Depends, Query, Request

from media_service.downloads.service import DownloadService
from media_service.storage.aio import AsyncStorage
from media_service.web.disposition import Disposition


async def get_downloads(request: Request) -> DownloadService:
    downloads: DownloadService = request.app.state.downloads
    return downloads


async def get_storage(request: Request) -> AsyncStorage:
    storage: AsyncStorage = request.app.state.storage
    return storage


Downloads = Annotated[DownloadService, Depends(get_downloads)]
Blobs = Annotated[AsyncStorage, Depends(get_storage)]
WantedDisposition = Annotated[
    Disposition | None,
    Query(alias="disposition", description="Types that a browser could run are always attachments."),
]
