"""What a child is asked to do. Core room: plain values, so that the zygote needs no pydantic."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Target:
    """One rendition to make: the plain numbers of a `Preset`."""

    width_px: int
    height_px: int
    format: str
    quality: int
    fit: str = "inside"


@dataclass(frozen=True, slots=True)
class Mark:
    """A watermark: the plain values of a `Watermark`. Its picture lies at MARK_FILE in `output_dir`."""

    gravity: str
    scale: float
    opacity: float


MARK_FILE = "watermark.png"


@dataclass(frozen=True, slots=True)
class Edit:
    """One image on the fly: the plain values of an `ImageSpec`."""

    width: int | None
    height: int | None
    fit: str
    gravity: str
    quality: int
    format: str
    blur: float
    sharpen: float
    rotate: int
    flip: str
    background: str | None
    page: int
    frames: int
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """One source; many targets, or one edit. Paths are absolute; `output_dir` exists."""

    source: Path
    content_type: str
    output_dir: Path
    targets: tuple[Target, ...] = ()
    edit: Edit | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "source": str(self.source), "output_dir": str(self.output_dir)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(
            source=Path(value["source"]),
            content_type=value["content_type"],
            output_dir=Path(value["output_dir"]),
            targets=tuple(Target(**target) for target in value["targets"]),
            edit=_edit_from_json(value["edit"]),
        )


def _edit_from_json(value: dict[str, Any] | None) -> Edit | None:
    if value is None:
        return None
    mark = value["mark"]
    return Edit(**{**value, "mark": None if mark is None else Mark(**mark)})


def rendition_file_name(index: int, target_format: str) -> str:
    """Where in `output_dir` the rendition of the `index`-th target goes; both sides compute it.

    The worker never takes a path from a child, which hostile media may have taken over.
    """
    return f"{index}.{target_format}"
