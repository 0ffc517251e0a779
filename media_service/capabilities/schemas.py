"""What the service takes and makes, as clients read it. API room, though it only describes."""

from pydantic import BaseModel, ConfigDict, Field


class UploadCapabilities(BaseModel):
    max_file_size: int = Field(description="Bytes of one file.")
    allowed_types: list[str] = Field(description="Of the content, such as `image/*`; `*/*` takes everything.")
    max_parts: int = Field(description="Of one form.")


class PresetOut(BaseModel):
    """A rendition that every image gets, and that a public image gives as `/v1/images/{file_id}/p_<name>`."""

    name: str
    width: int
    height: int
    fit: str
    content_type: str
    quality: int


class ImageCapabilities(BaseModel):
    source_types: list[str] = Field(description="Files of these types have renditions.")
    presets: list[PresetOut]
    formats: list[str] = Field(description="Values of `f`.")
    fits: list[str] = Field(description="Values of `fit`.")
    auto_formats: list[str] = Field(description="What `f_auto` may become by `Accept`, beside jpeg and png.")
    max_side_px: int
    max_pixels: int
    max_frames: int
    quality_step: int


class EngineOut(BaseModel):
    """A sort of work, and whether a worker that does it is there now; null: that cannot be told."""

    name: str
    available: bool | None


class Capabilities(BaseModel):
    """All that a client need not find out by trying."""

    model_config = ConfigDict(json_schema_extra={"description": "Grows; members keep their meaning."})

    version: str
    registration: bool = Field(description="Whether strangers may make accounts.")
    uploads: UploadCapabilities
    images: ImageCapabilities
    engines: list[EngineOut]
