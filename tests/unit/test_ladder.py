"""Which stored picture an image on the fly is made of."""

import pytest

from media_service.files.models import Rendition
from media_service.models import new_id
from media_service.transforms.grammar import ImageBounds, parse_options
from media_service.transforms.ladder import source_rendition

FILE = new_id()


def rendition(name: str, width_px: int, height_px: int, content_type: str = "image/webp") -> Rendition:
    return Rendition(
        file_id=FILE, name=name, width_px=width_px, height_px=height_px, content_type=content_type
    )


LADDER = [rendition("thumb", 256, 192), rendition("small", 800, 600), rendition("large", 1600, 1200)]


def chosen(
    options: str,
    renditions: list[Rendition] = LADDER,
    *,
    size: tuple[int, int] = (4000, 3000),
    has_alpha: bool = False,
) -> str | None:
    spec = parse_options(options, bounds=ImageBounds(), presets=())
    found = source_rendition(spec, renditions, width_px=size[0], height_px=size[1], has_alpha=has_alpha)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("w_100", "thumb"),
        ("w_170", "thumb"),
        ("w_171", "small"),
        ("w_400", "small"),
        ("h_400", "small"),
        ("w_533", "small"),
        ("w_534", "large"),
        ("w_1066", "large"),
        ("w_1067", None),
        ("w_4000", None),
        ("f_webp", None),
        ("w_100,h_100,fit_cover", "thumb"),
        ("w_300,h_300,fit_cover", "small"),
        ("w_300,h_450,fit_cover", "large"),
        ("w_100,h_3000,fit_contain", "thumb"),
        ("w_400,rotate_90", "small"),
        ("w_401,rotate_90", "large"),
        ("w_120,rotate_90", "thumb"),
        ("w_400,h_401,fit_fill", "large"),
        ("w_100,page_2", None),
        ("w_100,frames_9", None),
    ],
)
def test_the_smallest_that_is_large_enough_is_taken(options: str, expected: str | None):
    assert chosen(options) == expected


def test_what_was_cut_or_flattened_or_is_as_large_as_the_original_is_not_taken():
    assert chosen("w_100", [rendition("square", 800, 800)]) is None
    flat = [rendition("flat", 800, 600, "image/jpeg")]
    assert chosen("w_100", flat) == "flat"
    assert chosen("w_100", flat, has_alpha=True) is None
    assert chosen("w_100", size=(1600, 1200), renditions=LADDER[2:]) is None
    assert chosen("w_100", []) is None


def test_lossless_rendition_need_not_be_larger_than_the_result():
    assert chosen("w_800", [rendition("exact", 800, 600, "image/png")]) == "exact"
    assert chosen("w_801", [rendition("exact", 800, 600, "image/png")]) is None
