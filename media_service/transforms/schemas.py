"""Images on the fly as clients ask for their URLs. API room."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from media_service.auth.signing import MAX_KEY_USE
from media_service.transforms.grammar import MAX_CHARACTERS

DEFAULT_EXPIRY_SECONDS = 86_400
MAX_EXPIRY_SECONDS = int(MAX_KEY_USE.total_seconds())
"""A year: such URLs stand in pages and mails, and caches keep what they name for as long."""


class ImageUrlRequest(BaseModel):
    """Options of one image, such as `w_400,h_300,fit_cover,f_auto` or `p_thumb`."""

    model_config = ConfigDict(extra="forbid")

    options: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    expires_in: Annotated[int, Field(ge=1, le=MAX_EXPIRY_SECONDS, description="Seconds.")] = (
        DEFAULT_EXPIRY_SECONDS
    )
