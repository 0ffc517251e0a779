"""Resumable uploads of this process, and who may use them. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.tus.protocols import Protocols


async def get_protocols(request: Request) -> Protocols:
    protocols: Protocols = request.app.state.resumable
    return protocols


ResumableProtocols = Annotated[Protocols, Depends(get_protocols)]
