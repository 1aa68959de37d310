"""Fields as pictures: a PNG is ten times faster to show than a heat map of plotly."""

import io

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw
from plotly.colors import sample_colorscale

from .._types import AnyArray


def field_png(
    field: Float[AnyArray, "rows columns"],
    *,
    low: float = 0.0,
    high: float = 1.0,
    size: tuple[int, int] = (360, 120),
    marks: Int[AnyArray, "marks 2"] | None = None,
) -> bytes:
    """A field as a PNG in cividis, row 0 at the bottom, scaled to `size` (width, height).

    - `marks`: (row, column) of nodes that get a dot.
    """
    span = (np.asarray(field, np.float64)[::-1] - low) / (high - low)
    level = np.clip(np.round(255 * span), 0, 255).astype(np.uint8)
    image = Image.fromarray(level).resize(size, Image.Resampling.NEAREST)
    image.putpalette(_CIVIDIS.tobytes())
    if marks is not None:
        rows, columns = np.shape(field)
        image = image.convert("RGB")
        draw = ImageDraw.Draw(image)
        for row, column in np.asarray(marks):
            x, y = (column + 0.5) / columns * size[0], (rows - row - 0.5) / rows * size[1]
            draw.rectangle((x - 1, y - 1, x, y), fill=_MARK)
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _cividis() -> np.ndarray:
    colours = sample_colorscale("Cividis", np.linspace(0, 1, 256).tolist(), colortype="tuple")
    return np.round(255 * np.array(colours)).astype(np.uint8)


_CIVIDIS = _cividis()
_MARK = (213, 94, 0)  # vermilion, of Okabe and Ito
