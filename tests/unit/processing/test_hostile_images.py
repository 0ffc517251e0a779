"""What is broken or too large is refused by name, quickly, and never half shown."""

import random
import time

import pytest
from PIL import Image

from media_service.exceptions import ErrorKind, MediaServiceError
from media_service.transforms.spec import DEFAULT_PRESETS
from tests.support import images
from tests.unit.processing.conftest import Process

JPEG, PNG, GIF, WEBP, HEIC = "image/jpeg", "image/png", "image/gif", "image/webp", "image/heic"

UNREADABLE = {
    "truncated JPEG": (images.truncated_jpeg(), JPEG),
    "JPEG that ends in the middle": (images.damaged_jpeg(), JPEG),
    "JPEG without a scan": (images.jpeg()[:300], JPEG),
    "progressive JPEG cut": (images.jpeg(progressive=True)[:-9000], JPEG),
    "PNG cut": (images.encode(images.scene(), "PNG")[:-5000], PNG),
    "PNG with a bad checksum": (images.png_alpha()[:-3000] + bytes(3000), PNG),
    "GIF cut": (images.gif()[: len(images.gif(frames=1)) // 2], GIF),
    "WebP cut": (images.webp()[:-700], WEBP),
    "HEIC cut": (images.heic()[:-900], HEIC),
    "PNG called JPEG": (images.png_alpha(), JPEG),
    "JPEG called HEIC": (images.jpeg(), HEIC),
    "HTML called PNG": (b"<html><script>alert(1)</script>", PNG),
    "SVG called PNG": (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", PNG),
    "PostScript called JPEG": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", JPEG),
    "noise": (bytes(range(256)) * 40, WEBP),
    "nothing": (b"", JPEG),
    "one byte": (b"\xff", JPEG),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_broken_file_is_unreadable_media(process: Process, name: str):
    with pytest.raises(MediaServiceError) as caught:
        process(*UNREADABLE[name])
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNPROCESSABLE, "unreadable-media")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99, 0.999])
def test_a_photo_cut_anywhere_is_never_half_a_picture(process: Process, share: float):
    whole = images.jpeg(4000, 3000)
    with pytest.raises(MediaServiceError) as caught:
        process(whole[: int(len(whole) * share)], JPEG, DEFAULT_PRESETS)
    assert caught.value.code == "unreadable-media"


def test_stray_bytes_after_the_picture_are_no_damage(process: Process):
    assert process(images.jpeg() + b"\0" * 4096 + b"<?php evil() ?>", JPEG).metadata["width"] == 640


@pytest.mark.parametrize("name", ["jpeg", "png", "gif", "webp", "heic"])
def test_flipped_bytes_give_a_picture_or_a_named_refusal(process: Process, name: str):
    data = {
        "jpeg": images.jpeg(64, 48),
        "png": images.png_alpha(64, 48),
        "gif": images.gif(64, 48),
        "webp": images.webp(64, 48),
        "heic": images.heic(64, 48),
    }[name]
    chance = random.Random(7)
    kinds: set[ErrorKind] = set()
    for _ in range(25):
        damaged = bytearray(data)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        try:
            process(bytes(damaged), f"image/{name}")
        except MediaServiceError as error:
            kinds.add(error.kind)
    assert kinds <= {ErrorKind.UNPROCESSABLE}


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (images.png_header_bomb(), PNG),
        (images.png_header_bomb(65_535, 65_535), PNG),
        (images.png_header_bomb(2**31 - 1, 2**31 - 1), PNG),
        (images.gif_of_tiny_frames(1).replace(b"\xd0\x07\xd0\x07", b"\xff\xff\xff\xff", 1), GIF),
        (images.encode(Image.new("L", (8000, 8000)), "JPEG"), JPEG),
        (images.encode(Image.new("L", (16_000, 4000)), "WEBP", method=0), WEBP),
    ],
)
def test_too_many_pixels_are_refused_before_they_are_decoded(
    process: Process, data: bytes, content_type: str
):
    begun = time.perf_counter()
    with pytest.raises(MediaServiceError) as caught:
        process(data, content_type)
    assert time.perf_counter() - begun < 0.3
    assert (caught.value.kind, caught.value.code) == (ErrorKind.UNPROCESSABLE, "image-too-many-pixels")
    assert caught.value.members == {"max_pixels": 50_000_000}


def test_a_side_too_long_is_refused(process: Process):
    with pytest.raises(MediaServiceError) as caught:
        process(images.png_header_bomb(20_001, 3), PNG)
    assert (caught.value.code, caught.value.members) == ("image-too-large-side", {"max_side_px": 20_000})


def test_an_animation_too_long_is_refused_without_a_walk_through_it(process: Process):
    begun = time.perf_counter()
    with pytest.raises(MediaServiceError) as caught:
        process(images.gif_of_tiny_frames(50_000), GIF)
    assert time.perf_counter() - begun < 0.3
    assert (caught.value.code, caught.value.members) == (
        "too-many-frames",
        {"frames": 50_000, "max_frames": 500},
    )


def test_a_legal_49_megapixel_png_is_processed(process: Process):
    result = process(images.png_blank(7000, 7000), PNG)
    assert (result.metadata["width"], result.renditions[0].width_px) == (7000, 400)


def test_a_type_without_a_decoder_is_a_callers_mistake(process: Process):
    with pytest.raises(ValueError, match="image/svg"):
        process(b"<svg/>", "image/svg+xml")


def test_the_cause_is_kept_for_the_log_and_not_in_the_public_detail(process: Process):
    with pytest.raises(MediaServiceError) as caught:
        process(images.truncated_jpeg(), JPEG)
    assert "Traceback" in str(caught.value.__cause__)
    assert "Traceback" not in caught.value.detail
