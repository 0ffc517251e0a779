"""The image service of this process, and what an image is asked for with. API room."""

from typing import Annotated

from fastapi import Depends, Path, Request

from media_service.transforms.service import ImageService


async def get_images(request: Request) -> ImageService:
    images: ImageService = request.app.state.images
    return images


Images = Annotated[ImageService, Depends(get_images)]
Options = Annotated[
    str,
    Path(description="Such as `w_400,h_300,fit_cover,q_80,f_webp`, in any order, or a preset: `p_thumb`."),
]
