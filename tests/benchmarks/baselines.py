"""What tutorials write: FastAPI with `UploadFile`, `FileResponse` and Pillow in the handler.

Nothing is checked, hashed or recorded. `?durable=1` adds the fsync that an acknowledged upload needs.
"""

import os
import shutil
import uuid
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, UploadFile
from fastapi.responses import FileResponse

from tests.benchmarks.naive_pillow import make_thumbnails

app = FastAPI()
UPLOADS = Path("uploads")
UPLOADS.mkdir(exist_ok=True)
COPY_BYTES = 1024 * 1024


@app.post("/files")
async def upload(file: UploadFile, durable: Annotated[int, "0 or 1"] = 0) -> dict[str, str]:
    """The `async` variant with a loop of reads, as the documentation of FastAPI suggests."""
    name = uuid.uuid4().hex
    with (UPLOADS / name).open("wb") as target:
        while chunk := await file.read(COPY_BYTES):
            target.write(chunk)
        if durable:
            target.flush()
            os.fsync(target.fileno())
    return {"id": name}


@app.get("/files/{name}")
async def download(name: str) -> FileResponse:
    return FileResponse(UPLOADS / name)


@app.delete("/files/{name}")
async def delete(name: str) -> None:
    """Removes a file between two measurements."""
    (UPLOADS / name).unlink()


@app.post("/photos/{format_name}")
def upload_photo(format_name: str, file: UploadFile) -> dict[str, str]:
    """Ready when it answers: a plain `def`, so that the decoder blocks a thread and not the loop."""
    name = uuid.uuid4().hex
    folder = UPLOADS / f"{name}-renditions"
    folder.mkdir()
    with (UPLOADS / name).open("wb") as target:
        shutil.copyfileobj(file.file, target)
    make_thumbnails(UPLOADS / name, folder, format_name=format_name)
    return {"id": name}
