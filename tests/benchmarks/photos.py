"""A 12 MP photo made in code, and how near a rendition comes to the best that can be made of it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 4000, 3000
OCTAVES = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4000)
"""Widths of layers of noise; each finer one is weaker, as in photos (amplitude falls with frequency)."""
AMPLITUDE, FALL = 14, 0.6
"""Chosen so that the renditions have the bytes of an ordinary photo's."""
QUALITY = 90
WINDOW = 8
"""Side of SSIM's windows, in pixels."""


def photo() -> bytes:
    """About 2.6 MB of JPEG; the same bytes at every call."""
    random = np.random.default_rng(20261101)
    canvas = np.full((HEIGHT, WIDTH, 3), 128.0, dtype=np.float32)
    for width in OCTAVES:
        noise = random.normal(0, 1, (max(2, width * 3 // 4), width, 3)) + random.normal(
            0, 1, (max(2, width * 3 // 4), width, 1)
        )
        layer = Image.fromarray(np.clip(128 + 40 * noise, 0, 255).astype(np.uint8))
        grown = np.asarray(layer.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), dtype=np.float32)
        canvas += (grown - 128) * AMPLITUDE / width**FALL
    buffer = io.BytesIO()
    Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def ssim_of(rendition: Path, original: bytes) -> float:
    """Mean structural similarity of luma to the original scaled down by Lanczos; 1 is equal."""
    with Image.open(rendition) as made, Image.open(io.BytesIO(original)) as source:
        best = source.convert("RGB").resize(made.size, Image.Resampling.LANCZOS)
        return _ssim(_windows(made), _windows(best))


def _windows(image: Image.Image) -> Any:
    """Luma, cut into windows: shape (count, pixels)."""
    luma = np.asarray(image.convert("L"), dtype=np.float64)
    rows, columns = luma.shape[0] // WINDOW, luma.shape[1] // WINDOW
    cut = luma[: rows * WINDOW, : columns * WINDOW].reshape(rows, WINDOW, columns, WINDOW)
    return cut.swapaxes(1, 2).reshape(rows * columns, WINDOW * WINDOW)


def _ssim(a: Any, b: Any) -> float:
    """Wang et al. 2004, with uniform windows side by side."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = a.mean(1), b.mean(1)
    covariance = (a * b).mean(1) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    denominator = (mean_a**2 + mean_b**2 + c1) * (a.var(1) + b.var(1) + c2)
    return float((numerator / denominator).mean())
