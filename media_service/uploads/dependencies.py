"""The upload service of this process. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.uploads.service import UploadService


async def get_uploads(request: Request) -> UploadService:
    uploads: UploadService = request.app.state.uploads
    return uploads


Uploads = Annotated[UploadService, Depends(get_uploads)]
