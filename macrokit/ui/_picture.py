"""Fields as pictures: a PNG is ten times faster to show than a heat map of plotly."""

import io

import numpy as np
from jaxtyping import Float
from PIL import Image
from plotly.colors import sample_colorscale

from .._types import AnyArray


def field_png(
    field: Float[AnyArray, "rows columns"],
    *,
    low: float = 0.0,
    high: float = 1.0,
    size: tuple[int, int] = (360, 120),
) -> bytes:
    """A field as a PNG in cividis, row 0 at the bottom, scaled to `size` (width, height)."""
    span = (np.asarray(field, np.float64)[::-1] - low) / (high - low)
    level = np.clip(np.round(255 * span), 0, 255).astype(np.uint8)
    image = Image.fromarray(level).resize(size, Image.Resampling.NEAREST)
    image.putpalette(_CIVIDIS.tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _cividis() -> np.ndarray:
    colours = sample_colorscale("Cividis", np.linspace(0, 1, 256).tolist(), colortype="tuple")
    return np.round(255 * np.array(colours)).astype(np.uint8)


_CIVIDIS = _cividis()
