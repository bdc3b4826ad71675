"""Reading, resizing and writing pictures, by Pillow."""

from __future__ import annotations

from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

FILTERS = ("nearest", "bilinear", "bicubic", "lanczos")


def pillow(module: str) -> Any:
    """One of Pillow's modules.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    try:
        return import_module(f"PIL.{module}")
    except ImportError:
        raise ImportError("pictures are read and drawn with Pillow: pip install 'konv[run]'") from None


def check_image(image: Any) -> None:
    """Refuse what is no picture."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f"image: expected an array of uint8, got {kind}")
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: expected shape (height, width, 3), got {image.shape}")


def read_image(path: str | PathLike[str]) -> Image:
    """Read a picture as it is meant to be seen.

    Parameters
    ----------
    path : path
        Any format that Pillow reads; of several frames the first.

    Returns
    -------
    ndarray
        (height, width, 3), uint8, RGB. Turned as the camera's orientation mark says, transparent parts on white,
        grey of 16 bits reduced to 8.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is not a picture, or one too large for Pillow to open (179 megapixels).
    ImportError
        If Pillow is not installed.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from konv import vision
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "red.png")
    ...     vision.write_image(path, np.full((2, 3, 3), (255, 0, 0), np.uint8))
    ...     vision.read_image(path).shape
    (2, 3, 3)
    """
    pil = pillow("Image")
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    try:
        with pil.open(path) as opened:
            image = pillow("ImageOps").exif_transpose(opened)
            image.load()
    except pil.UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture that Pillow reads") from None
    except (pil.DecompressionBombError, SyntaxError) as error:  # SyntaxError: broken PNG
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}") from None
    if image.mode.startswith("I;16"):
        image = pil.fromarray((np.asarray(image, np.float32) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = pil.new("RGBA", image.size, "white")
        image = pil.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def write_image(path: str | PathLike[str], image: Image) -> None:
    """Write a picture.

    Parameters
    ----------
    path : path
        Its suffix says the format.
    image : ndarray
        (height, width, 3), uint8, RGB.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError, ValueError
        If `image` is no such array, or Pillow knows no format of that suffix.
    ImportError
        If Pillow is not installed.

    Examples
    --------
    See `read_image`.
    """
    check_image(image)
    check_suffix(path)
    quality = {"quality": 95} if Path(path).suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
    pillow("Image").fromarray(image).save(path, **quality)


def check_suffix(path: str | PathLike[str]) -> None:
    """Refuse a name that no picture can be written under."""
    pil = pillow("Image")
    if pil.registered_extensions().get(Path(path).suffix.lower()) not in pil.SAVE:
        raise ValueError(f"{path}: expected a name that ends as pictures do (.png, .jpg), got {Path(path).suffix!r}")


def resize_image(
    image: Image,
    size: tuple[int, int],
    filter: str = "bilinear",
    box: tuple[float, float, float, float] | None = None,
) -> Image:
    """Resize a picture, or a part of one.

    Parameters
    ----------
    image : ndarray
        (height, width, 3), uint8.
    size : (int, int)
        The new height and width.
    filter : {"nearest", "bilinear", "bicubic", "lanczos"}
        How pixels are weighted; all but "nearest" widen their reach when they shrink a picture.
    box : (float, float, float, float), optional
        The part to take, as (left, top, right, bottom) in pixels; by default all of it.

    Returns
    -------
    ndarray
        (height, width, 3), uint8, of the new size.

    Raises
    ------
    TypeError, ValueError
        If an argument makes no sense.
    ImportError
        If Pillow is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import vision
    >>> vision.resize_image(np.zeros((4, 6, 3), np.uint8), (2, 3)).shape
    (2, 3, 3)
    """
    check_image(image)
    if filter not in FILTERS:
        raise ValueError(f"filter: expected one of {', '.join(FILTERS)}, got {filter!r}")
    if min(size) < 1:
        raise ValueError(f"size: expected a height and width above zero, got {size}")
    height, width = image.shape[:2]
    if box is None:
        box = (0, 0, width, height)
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise ValueError(f"box: expected (left, top, right, bottom) within {width} x {height}, got {box}")
    pil = pillow("Image")
    resampling = pil.Resampling[filter.upper()]
    return np.asarray(pil.fromarray(image).resize((size[1], size[0]), resampling, box=box))
