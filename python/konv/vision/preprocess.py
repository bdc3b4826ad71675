"""From a picture to a network's input, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .._words import counted
from .images import Image, check_image, pillow, resize_image

Array = NDArray[Any]

ORDERS = ("RGB", "BGR", "gray", "luma")
FITS = ("crop", "stretch", "pad")
LAYOUTS = ("NCHW", "NHWC")
BORDER = 114  # the grey around a padded picture: what YOLO networks are trained with

# https://github.com/onnx/onnx/blob/main/docs/MetadataProps.md
_ORDER_KEY, _ORDERS_OF_METADATA = "Image.BitmapPixelFormat", {"Gray8": "gray", "Rgb8": "RGB", "Bgr8": "BGR"}
_RANGE_KEY = "Image.NominalPixelRange"
_RANGES_OF_METADATA = {  # scale and mean
    "NominalRange_0_255": (1.0, 0.0),
    "Normalized_0_1": (1 / 255, 0.0),
    "Normalized_1_1": (2 / 255, 1.0),
    "NominalRange_16_235": (219 / 255, -16.0),
}


@dataclass(frozen=True)
class Frame:
    """The rectangle of a picture that a network's input shows; it may reach beyond the picture.

    Attributes
    ----------
    left, top, width, height : float
        Of the rectangle, in pixels of the picture.
    picture_size, input_size : (int, int)
        Height and width of the picture, and of the input.

    Examples
    --------
    >>> from konv.vision import Frame
    >>> frame = Frame(10, 0, 100, 50, picture_size=(50, 120), input_size=(32, 64))
    >>> frame.to_picture([[0.0, 0.0, 0.5, 1.0]])
    array([[10.,  0., 60., 50.]])
    """

    left: float
    top: float
    width: float
    height: float
    picture_size: tuple[int, int]
    input_size: tuple[int, int]

    def to_picture(self, boxes: ArrayLike) -> Array:
        """Boxes (n, 4) in fractions of the input as pixels of the picture, as far as they lie in it."""
        corner, size = (self.left, self.top), (self.width, self.height)
        height, width = self.picture_size
        return np.clip(np.asarray(boxes) * (*size, *size) + (*corner, *corner), 0, (width, height, width, height))


@dataclass(frozen=True)
class Preprocessing:
    """What is done to a picture before a network sees it: `(pixel * scale - mean) / std`, in the network's shape.

    Parameters
    ----------
    size : (int, int), optional
        Height and width that the network takes; without it pictures keep theirs.
    order : {"RGB", "BGR", "gray", "luma"}
        The channels. "luma" computes what "gray" does, and tells `transform` to give the result its colours back.
    scale : float
        Factor of the pixels, which are 0 to 255.
    mean, std : float or sequence of float
        Of all channels, or of each in the order in which the network takes them.
    layout : {"NCHW", "NHWC"}
        Where the channels stand.
    fit : {"crop", "stretch", "pad"}
        How a picture of other proportions is made to fit: the largest centred part of it that has the right ones, all
        of it distorted, or all of it with grey around.
    dtype : dtype
        Of the input; values for integers are rounded and clipped.

    Raises
    ------
    ValueError
        If an argument makes no sense.

    Examples
    --------
    >>> import numpy as np
    >>> from konv.vision import Preprocessing
    >>> picture = np.full((40, 60, 3), (255, 0, 0), np.uint8)
    >>> prepare = Preprocessing(order="BGR", scale=1, mean=(104, 117, 123))
    >>> tensor, frame = prepare(picture)
    >>> tensor.shape, tensor[0, :, 0, 0]
    ((1, 3, 40, 60), array([-104., -117.,  132.], dtype=float32))
    """

    size: tuple[int, int] | None = None
    order: str = "RGB"
    scale: float = 1 / 255
    mean: float | Sequence[float] = 0.0
    std: float | Sequence[float] = 1.0
    layout: str = "NCHW"
    fit: str = "crop"
    dtype: DTypeLike = np.float32

    def __post_init__(self) -> None:
        for name, allowed in (("order", ORDERS), ("layout", LAYOUTS), ("fit", FITS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ValueError(f"size: expected a height and width above zero, got {self.size}")
        for name in ("mean", "std"):
            if np.size(getattr(self, name)) not in (1, self.channels):
                count = f"one number or {self.channels}" if self.channels > 1 else "one number"
                raise ValueError(f"{name}: expected {count} for {self.order}, got {getattr(self, name)}")
        for name in ("scale", "std"):
            if np.any(np.asarray(getattr(self, name)) == 0):
                raise ValueError(f"{name}: expected no zero, got {getattr(self, name)}")

    @classmethod
    def for_input(
        cls,
        shape: Sequence[int | str | None],
        dtype: DTypeLike = np.float32,
        metadata: Mapping[str, str] | None = None,
        *,
        size: tuple[int, int] | None = None,
        order: str | None = None,
        scale: float | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        layout: str | None = None,
        fit: str = "crop",
    ) -> Preprocessing:
        """Return the preprocessing for an input of a model; what is not given is read from the model.

        Parameters
        ----------
        shape : sequence
            (batch, channels, height, width) or (batch, height, width, channels); a size that is no number is open.
        dtype : dtype
            Of the input. Without `scale`, floating-point inputs get 0 to 1 and others 0 to 255.
        metadata : mapping, optional
            The model's `metadata_props`: `Image.BitmapPixelFormat` says the order, `Image.NominalPixelRange` scale and
            mean, where the arguments do not.
        size, order, scale, mean, std, layout, fit
            As in the class.

        Returns
        -------
        Preprocessing

        Raises
        ------
        ValueError
            If an argument does not agree with the shape, or the shape is not that of one picture.

        Examples
        --------
        >>> from konv.vision import Preprocessing
        >>> Preprocessing.for_input((1, 3, 224, 224)).size
        (224, 224)
        >>> Preprocessing.for_input(("N", 1, "H", "W")).order
        'gray'
        """
        if len(shape) != 4:
            raise ValueError(f"the model's input has shape {_shown(shape)}; expected four sizes, as of a picture")
        if isinstance(shape[0], int) and shape[0] > 1:
            raise ValueError(f"the model takes {shape[0]} pictures at a time, {_shown(shape)}; expected one")
        metadata = metadata or {}
        layout = layout or _layout(shape)
        if layout not in LAYOUTS:
            raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
        axes = (1, 2, 3) if layout == "NCHW" else (3, 1, 2)
        channels, *sides = (shape[axis] for axis in axes)
        if order is None:
            order = _looked_up(metadata, _ORDER_KEY, _ORDERS_OF_METADATA) or {1: "gray", 3: "RGB"}.get(channels)  # type: ignore[arg-type]
        if order is None:
            raise ValueError(f"order: the model's input {_shown(shape)} does not say it; expected {', '.join(ORDERS)}")
        if scale is None and mean is None and std is None:
            known = _looked_up(metadata, _RANGE_KEY, _RANGES_OF_METADATA)
            scale, mean = known if known is not None else (None, None)
        if scale is None:
            scale = 1 / 255 if np.dtype(dtype).kind == "f" else 1.0
        found = cls(
            size=_size(sides, size),
            order=order,
            scale=scale,
            mean=0.0 if mean is None else mean,
            std=1.0 if std is None else std,
            layout=layout,
            fit=fit,
            dtype=dtype,
        )
        if isinstance(channels, int) and channels != found.channels:
            raise ValueError(f"order: the model takes {counted(channels, 'channel')}, {_shown(shape)}; got {order!r}")
        return found

    @property
    def channels(self) -> int:
        """How many the network takes."""
        return 1 if self.order in ("gray", "luma") else 3

    def __call__(self, image: Image) -> tuple[Array, Frame]:
        """Return the network's input for a picture (height, width, 3), and what part of the picture it shows."""
        placed, frame = self.place(image)
        return self.encode(placed), frame

    def place(self, image: Image) -> tuple[Image, Frame]:
        """Return the picture in the network's size, and what part of it that shows."""
        check_image(image)
        size = height, width = image.shape[0], image.shape[1]
        if self.size is None or self.size == size:
            return image, Frame(0, 0, width, height, size, size)
        rows, columns = self.size
        if self.fit == "stretch":
            return resize_image(image, self.size), Frame(0, 0, width, height, size, self.size)
        if self.fit == "crop":
            factor = min(width / columns, height / rows)  # pixels of the picture for each of the input
            part = min(width, columns * factor), min(height, rows * factor)
            left, top = (width - part[0]) / 2, (height - part[1]) / 2
            placed = resize_image(image, self.size, box=(left, top, left + part[0], top + part[1]))
            return placed, Frame(left, top, *part, size, self.size)
        factor = max(width / columns, height / rows)
        inner = max(1, round(height / factor)), max(1, round(width / factor))
        top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
        placed = np.full((rows, columns, 3), BORDER, np.uint8)
        placed[top : top + inner[0], left : left + inner[1]] = resize_image(image, inner)
        across, down = width / inner[1], height / inner[0]  # they differ where `inner` was rounded
        return placed, Frame(-left * across, -top * down, columns * across, rows * down, size, self.size)

    def encode(self, image: Image) -> Array:
        """Return a picture of the right size as an input, (1, channels, height, width) or with the channels last."""
        check_image(image)
        if self.channels == 1:
            pixels = np.asarray(pillow("Image").fromarray(image).convert("L"))[:, :, None]
        else:
            pixels = image[:, :, ::-1] if self.order == "BGR" else image
        numbers = pixels * np.float32(self.scale) - np.asarray(self.mean, np.float32)
        tensor = numbers / np.asarray(self.std, np.float32)
        if self.layout == "NCHW":
            tensor = tensor.transpose(2, 0, 1)
        return np.ascontiguousarray(_cast(tensor, np.dtype(self.dtype)))[None]

    def decode(self, tensor: Array) -> Image:
        """Return what `encode` makes of a picture as that picture; (height, width, channels), clipped to 0..255."""
        if tensor.ndim != 4 or tensor.shape[0] != 1:
            raise ValueError(f"tensor: expected one picture with four sizes, got shape {tensor.shape}")
        pixels = tensor[0].transpose(1, 2, 0) if self.layout == "NCHW" else tensor[0]
        if pixels.shape[2] != self.channels:
            raise ValueError(
                f"tensor: expected {counted(self.channels, 'channel')} ({self.layout}), got shape {tensor.shape}"
            )
        numbers = pixels * np.asarray(self.std, np.float32) + np.asarray(self.mean, np.float32)
        image = _cast(numbers / np.float32(self.scale), np.dtype(np.uint8))
        return image[:, :, ::-1] if self.order == "BGR" else image


def _cast(array: Array, dtype: np.dtype[Any]) -> Array:
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return array.astype(dtype)


def _layout(shape: Sequence[int | str | None]) -> str:
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first == last:
        raise ValueError(f"layout: the model's input {_shown(shape)} does not say it; expected {' or '.join(LAYOUTS)}")
    return "NCHW" if first else "NHWC"


def _size(sides: Sequence[int | str | None], given: tuple[int, int] | None) -> tuple[int, int] | None:
    """The size that the model has, or else the one that was given."""
    fixed = [side if isinstance(side, int) else None for side in sides]
    if given is not None:
        if any(side not in (None, wanted) for side, wanted in zip(fixed, given, strict=True)):
            takes, got = (" x ".join(str(side or "any") for side in size) for size in (fixed, given))
            raise ValueError(f"size: the model takes {takes}, got {got}")
        return given
    height, width = fixed
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise ValueError(
            f"size: the model takes {' x '.join(str(s or 'any') for s in fixed)}; expected height and width"
        )
    return height, width


def _looked_up(metadata: Mapping[str, str], key: str, table: Mapping[str, Any]) -> Any:
    """What the table has for a model's remark; None where there is no remark."""
    if key not in metadata:
        return None
    if metadata[key] not in table:
        raise ValueError(f"the model's {key} is {metadata[key]!r}; expected one of {', '.join(table)}")
    return table[metadata[key]]


def _shown(shape: Sequence[int | str | None]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"
