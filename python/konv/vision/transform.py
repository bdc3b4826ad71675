"""Networks that make a picture of a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .images import Image, pillow, resize_image
from .preprocess import Preprocessing

Array = NDArray[Any]


def transform(run: Callable[[Array], Array], image: Image, prepare: Preprocessing) -> Image:
    """Return the picture that a network makes of one.

    Parameters
    ----------
    run : callable
        The network: takes the array that `prepare` makes and returns one of four sizes.
    image : ndarray
        (height, width, 3), uint8.
    prepare : Preprocessing
        Its inverse makes a picture of the network's result. With the order "luma" the network is given brightness
        alone, and the result takes its colours from the picture, resized by bicubic interpolation.

    Returns
    -------
    ndarray
        (height, width, 3), uint8, of whichever size the network gives.

    Raises
    ------
    ValueError
        If the network's result is no picture.

    Examples
    --------
    >>> import numpy as np
    >>> from konv import vision
    >>> picture = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    >>> doubled = vision.transform(lambda x: x.repeat(2, 2).repeat(2, 3), picture, vision.Preprocessing())
    >>> np.array_equal(doubled[::2, ::2], picture)
    True
    """
    placed, _ = prepare.place(image)
    result = prepare.decode(run(prepare.encode(placed)))
    if result.shape[2] == 3:
        return result
    if prepare.order != "luma":
        return result.repeat(3, axis=2)
    height, width = result.shape[:2]
    pil = pillow("Image")
    _, blue, red = pil.fromarray(resize_image(placed, (height, width), "bicubic")).convert("YCbCr").split()
    return np.asarray(pil.merge("YCbCr", (pil.fromarray(result[:, :, 0]), blue, red)).convert("RGB"))
