"""Valid files of kinds that a library gets wrong, all met in public corpora: docs/reference/corpora.md."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from media_service.exceptions import MediaServiceError
from tests.support import images
from tests.support.hostile_makers import (
    gif_of_size,
    jpeg_with_junk,
    tiff_of_bands,
    tiff_of_old_jpeg,
)
from tests.unit.processing.conftest import Process
from tests.unit.processing.test_pixels import difference, opened
from workers.processing.engine import is_out_of_memory
from workers.processing.jpeg import without_junk

SCENE = images.scene(320, 240)
TIFF = "image/tiff"


def cielab(image: Image.Image) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    assert converted is not None  # only in place
    return converted


def test_tiff_in_cielab_has_its_colours(process: Process):
    made = opened(process(images.encode(cielab(SCENE), "TIFF"), TIFF).renditions[0])
    assert difference(made, SCENE) < 2


def test_uncompressed_tiff_in_ycbcr_has_its_colours(process: Process):
    made = opened(process(images.encode(SCENE.convert("YCbCr"), "TIFF"), TIFF).renditions[0])
    assert difference(made, SCENE) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_that_pillow_decodes_is_turned_once(process: Process, orientation: int):
    stored = images.stored_turned(SCENE, orientation).convert("YCbCr")
    result = process(images.encode(stored, "TIFF", tiffinfo={274: orientation}), TIFF)
    assert (result.metadata["width"], result.metadata["height"]) == (320, 240)
    assert difference(opened(result.renditions[0]), SCENE) < 2


def test_pages_of_a_tiff_that_pillow_decodes_are_counted(process: Process):
    page = SCENE.convert("YCbCr")
    data = images.encode(page, "TIFF", save_all=True, append_images=[page, page])
    assert process(data, TIFF).metadata["frames"] == 3


def test_tiff_of_too_many_pages_that_pillow_decodes_is_refused(process: Process):
    page = Image.new("YCbCr", (1, 1))
    data = images.encode(page, "TIFF", save_all=True, append_images=[page] * 500)
    with pytest.raises(MediaServiceError) as error:
        process(data, TIFF)
    assert error.value.code == "too-many-frames"


def test_tiff_with_a_jpeg_of_the_old_kind_shows_it(process: Process):
    made = opened(process(tiff_of_old_jpeg(), TIFF).renditions[0])
    assert difference(made, images.scene(64, 48)) < 4


@pytest.mark.parametrize("bands", [4, 5, 6])
def test_spare_bands_of_a_tiff_are_no_transparency(process: Process, bands: int):
    extra = 0 if bands < 6 else None
    result = process(tiff_of_bands(bands, photometric=2, extra=extra), TIFF)
    assert result.metadata["has_alpha"] is False
    assert opened(result.renditions[0]).getpixel((0, 0)) == (200, 100, 50)


@pytest.mark.parametrize(("bands", "extra"), [(4, 1), (4, 2), (4, None), (5, 2)])
def test_alpha_of_a_tiff_is_kept_also_where_its_tag_is_missing(
    process: Process, bands: int, extra: int | None
):
    result = process(tiff_of_bands(bands, photometric=2, extra=extra), TIFF)
    assert result.metadata["has_alpha"] is True


def test_gray_tiff_of_three_bands_is_gray(process: Process):
    result = process(tiff_of_bands(3, photometric=1, extra=0), TIFF)
    assert opened(result.renditions[0]).convert("RGB").getpixel((0, 0)) == (200, 200, 200)


def test_gray_heic_of_more_than_8_bits_gives_its_pixels(process: Process):
    gray = np.asarray(SCENE.convert("L"))
    deep = Image.fromarray(gray.astype(np.uint16) << 8)
    made = opened(process(images.encode(deep, "HEIF", quality=90), "image/heic").renditions[0])
    assert difference(made.convert("L"), SCENE.convert("L")) < 3


def test_gif_is_transparent_where_its_first_frame_does_not_reach(process: Process):
    made = opened(process(gif_of_size(64, 48), "image/gif").renditions[0])
    with Image.open(io.BytesIO(gif_of_size(32, 24))) as frame:
        expected = frame.convert("RGB")
    assert made.size == (64, 48)
    assert difference(made.crop((0, 0, 32, 24)).convert("RGB"), expected) < 2
    assert made.crop((32, 0, 64, 48)).getchannel("A").getextrema() == (0, 0)
    assert made.crop((0, 0, 32, 24)).getchannel("A").getextrema() == (255, 255)


def test_jpeg_with_bytes_between_its_segments_is_shown(process: Process):
    made = opened(process(jpeg_with_junk()).renditions[0])
    assert difference(made, images.scene(400, 300)) < 2.5


def test_half_a_jpeg_with_bytes_between_its_segments_is_refused(process: Process):
    whole = jpeg_with_junk()
    with pytest.raises(MediaServiceError) as error:
        process(whole[: len(whole) // 2] + b"\xff\xd9")
    assert error.value.code == "unreadable-media"


def test_only_junk_is_taken_out_of_a_jpeg(tmp_path: Path):
    source = tmp_path / "source"
    for data, expected in (
        (images.jpeg(), None),
        (jpeg_with_junk(), images.jpeg()),
        (b"\xff\xd8", None),
        (b"\xff\xd8\xff\xfe\0\0\xff\xda\0\2", None),
        (b"\xff\xd8\xff\xdb\xff\xff", None),
    ):
        source.write_bytes(data)
        assert without_junk(source) == expected


def test_sizes_that_libheif_refuses_are_not_taken_for_want_of_memory():
    refused = "Memory allocation error: Security limit exceeded: Image size 640x480 exceeds the maximum"
    assert not is_out_of_memory(RuntimeError(refused))
    assert is_out_of_memory(RuntimeError("Memory allocation error: Unspecified"))
