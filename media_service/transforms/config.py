"""Which renditions every image gets. Core room."""

from pydantic import BaseModel, ConfigDict, field_validator

from media_service.transforms.spec import DEFAULT_PRESETS, Preset


class PresetSettings(BaseModel):
    model_config = ConfigDict(frozen=True)

    presets: tuple[Preset, ...] = DEFAULT_PRESETS
    """A JSON list of `{"name", "width_px", "height_px", "format", "quality"}`."""

    @field_validator("presets")
    @classmethod
    def _names_are_unique(cls, value: tuple[Preset, ...]) -> tuple[Preset, ...]:
        if len({preset.name for preset in value}) != len(value):
            raise ValueError("two presets have the same name")
        return value
