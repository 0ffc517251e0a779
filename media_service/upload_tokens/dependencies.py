"""The upload tokens of this process. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.upload_tokens.service import UploadTokens


async def get_upload_tokens(request: Request) -> UploadTokens:
    upload_tokens: UploadTokens = request.app.state.upload_tokens
    return upload_tokens


UploadTokensDep = Annotated[UploadTokens, Depends(get_upload_tokens)]
