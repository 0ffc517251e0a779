"""The file services of this process. API room."""

from typing import Annotated

from fastapi import Depends, Request

from media_service.files.descriptions import FileDescriptions
from media_service.files.presentation import FilePresenter
from media_service.files.service import FileService


async def get_files(request: Request) -> FileService:
    files: FileService = request.app.state.files
    return files


async def get_descriptions(request: Request) -> FileDescriptions:
    descriptions: FileDescriptions = request.app.state.descriptions
    return descriptions


async def get_presenter(request: Request) -> FilePresenter:
    presenter: FilePresenter = request.app.state.presenter
    return presenter


Files = Annotated[FileService, Depends(get_files)]
Descriptions = Annotated[FileDescriptions, Depends(get_descriptions)]
Presenter = Annotated[FilePresenter, Depends(get_presenter)]
