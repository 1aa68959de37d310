"""Fields and atoms as pictures: a PNG is ten times faster to show than a figure of plotly."""

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
    dot: int = 2,
    line: int | None = None,
) -> bytes:
    """A field as a PNG in cividis, row 0 at the bottom, scaled to `size` (width, height).

    - `marks`: (row, column) of nodes that get a dot of `dot` pixels. - `line`: a column that gets
      an upright line.
    """
    span = (np.asarray(field, np.float64)[::-1] - low) / (high - low)
    level = np.clip(np.round(255 * span), 0, 255).astype(np.uint8)
    image = Image.fromarray(level).resize(size, Image.Resampling.NEAREST)
    image.putpalette(_CIVIDIS.tobytes())
    if marks is not None or line is not None:
        image = _drawn_on(image.convert("RGB"), np.shape(field), marks, dot, line)
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _drawn_on(
    image: Image.Image,
    shape: tuple[int, int],
    marks: AnyArray | None,
    dot: int,
    line: int | None,
) -> Image.Image:
    """With the line, and the marks upon it."""
    (rows, columns), (width, height) = shape, image.size
    draw = ImageDraw.Draw(image)
    if line is not None:
        x = (line + 0.5) / columns * width
        draw.line((x, 0, x, height), fill=_PAPER, width=2)
    for row, column in [] if marks is None else np.asarray(marks):
        x, y = (column + 0.5) / columns * width, (rows - row - 0.5) / rows * height
        half = dot / 2
        draw.rectangle((x - half, y - half, x + half - 1, y + half - 1), fill=_MARK)
    return image


def atoms_png(
    r: Float[AnyArray, "atoms 3"],
    box: float,
    *,
    turn: float = 30.0,
    size: int = 300,
    marked: Int[AnyArray, " marked"] | None = None,
) -> bytes:
    """Atoms in a periodic cube as balls, seen from a little above; far ones are fainter. There is
    nothing behind them, so that they stand on the page whatever its colour.

    - `r`: positions, brought into the cube of side `box`. - `turn`: degrees about the upright axis.
    - `marked`: atoms in vermilion; all others are then small and pale, not to hide them.
    """
    angle, tilt = np.deg2rad(turn), np.deg2rad(20)
    x, y, z = (np.asarray(r, float) % box / box - 0.5).T
    across, away = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    up, away = z * np.cos(tilt) - away * np.sin(tilt), away * np.cos(tilt) + z * np.sin(tilt)
    near = 2.6 / (2.6 + away)  # the eye is 2.6 sides away
    scale = 0.62 * size
    centre = np.stack([size / 2 + scale * near * across, size / 2 - scale * near * up], axis=1)
    radius = 0.42 / box * scale * near  # a little smaller than they are, to see between them
    faint = np.clip((away + 0.85) / 1.7, 0, 1)[:, None]
    ink = np.tile(np.array(_ATOM), (len(x), 1))
    if marked is not None:
        other = np.setdiff1d(np.arange(len(x)), marked)
        ink[np.asarray(marked)], radius[other], faint[other] = _MARK, radius[other] / 2, 0.6
    opaque = np.round(255 * (1 - 0.85 * faint)).astype(int)
    edges = np.hstack([(0.7 * ink).astype(int), opaque]).tolist()
    inks = np.hstack([ink, opaque]).tolist()
    image = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for k in np.argsort(-away):
        (i, j), a = centre[k], radius[k]
        draw.ellipse((i - a, j - a, i + a, j + a), fill=tuple(inks[k]), outline=tuple(edges[k]))
    stream = io.BytesIO()
    image.save(stream, format="PNG", compress_level=1)
    return stream.getvalue()


def _cividis() -> np.ndarray:
    colours = sample_colorscale("Cividis", np.linspace(0, 1, 256).tolist(), colortype="tuple")
    return np.round(255 * np.array(colours)).astype(np.uint8)


_CIVIDIS = _cividis()
_MARK = (213, 94, 0)  # vermilion, of Okabe and Ito
_ATOM = (0, 114, 178)  # their blue
_PAPER = (255, 255, 255)
