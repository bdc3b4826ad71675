"""An edge network with side outputs, after HED."""

from __future__ import annotations

from pathlib import Path

from ..initializers import Constant
from ..layers import Activation, Concatenate, Conv2D, MaxPooling2D, UpSampling2D
from ..model import Model
from .common import ImageShape, finished, image_input
from .vgg import BLOCKS, vgg_block


def HED(  # noqa: N802 - named like a class, as in Keras
    input_shape: ImageShape = (None, None, 3),
    weights: str | Path | None = None,
    name: str = "hed",
) -> Model:
    """Make a holistically-nested edge detector: VGG-16, each of whose five blocks gives an edge map of its own.

    Parameters
    ----------
    input_shape : tuple
        (height, width, channels); sizes that 16 divides, None leaves them open.
    weights : str or Path, optional
        A file to read them from.
    name : str
        Of the model.

    Returns
    -------
    Model
        Six outputs of shape (batch, height, width, 1), from 0 to 1: the blocks' maps, named "side1" to "side5", and
        "fused" of them. 14,716,171 parameters: VGG-16's 14,714,688 without its top, 1,477 of the sides and 6 of the
        fusion.

    Raises
    ------
    ValueError
        If an argument does not fit.

    Notes
    -----
    Every output is trained against the edges. The paper enlarges the maps by transposed convolutions that stay
    bilinear, and pads and crops images of any size; these maps are enlarged by factors, so that 16 divides the sizes.

    References
    ----------
    Xie and Tu, "Holistically-nested edge detection", 2015.

    Examples
    --------
    >>> from konv.nn.applications import HED
    >>> [shape[1:] for shape in HED(input_shape=(32, 48, 3)).output_shape[-2:]]
    [(32, 48, 1), (32, 48, 1)]
    """
    inputs = image_input(input_shape, size=224, multiple=2 ** (len(BLOCKS) - 1))
    x, scores = inputs, []
    for block in range(1, len(BLOCKS) + 1):
        if block > 1:
            x = MaxPooling2D(2, strides=2, name=f"block{block - 1}_pool")(x)
        x = vgg_block(x, block)
        score = Conv2D(1, 1, name=f"side{block}_score")(x)
        if block > 1:
            factor = 2 ** (block - 1)
            score = UpSampling2D(factor, interpolation="bilinear", name=f"side{block}_up")(score)
        scores.append(score)
    together = Concatenate(name="sides")(scores)
    fused = Conv2D(1, 1, kernel_initializer=Constant(1 / len(scores)), name="fused_score")(together)
    outputs = [Activation("sigmoid", name=f"side{i}")(score) for i, score in enumerate(scores, 1)]
    return finished(inputs, [*outputs, Activation("sigmoid", name="fused")(fused)], name, weights)
