"""The services of direct uploads, and who may use them. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.direct.completion import DirectCompletion
from media_service.direct.parts import PartReceiver
from media_service.direct.service import DirectUploads


async def get_direct_uploads(request: Request) -> DirectUploads:
    uploads: DirectUploads = request.app.state.direct_uploads
    return uploads


async def get_completion(request: Request) -> DirectCompletion:
    completion: DirectCompletion = request.app.state.direct_completion
    return completion


async def get_part_receiver(request: Request) -> PartReceiver:
    receiver: PartReceiver = request.app.state.part_receiver
    return receiver


Directs = Annotated[DirectUploads, Depends(get_direct_uploads)]
Completion = Annotated[DirectCompletion, Depends(get_completion)]
Receiver = Annotated[PartReceiver, Depends(get_part_receiver)]
