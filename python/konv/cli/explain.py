"""`konv explain`."""

from __future__ import annotations

import argparse

import konv

from .arguments import padding, pair, positive_int, shape

HELP = "list the algorithms for a 2-D convolution: which is chosen, what each costs, or why it cannot"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--input", type=shape, required=True, metavar="N,C,H,W", help="images, channels, height, width of the input"
    )
    parser.add_argument(
        "--weight",
        type=shape,
        required=True,
        metavar="K,C,R,S",
        help="output channels, input channels of a group, height, width of the kernel",
    )
    parser.add_argument("--stride", type=pair, default=1, metavar="Y[,X]", help="steps of the kernel (default: 1)")
    parser.add_argument(
        "--padding",
        type=padding,
        default=0,
        metavar="Y[,X]|same|valid",
        help="zeros on either side, or a word as for konv.conv2d (default: 0)",
    )
    parser.add_argument(
        "--dilation", type=pair, default=1, metavar="Y[,X]", help="steps within the kernel (default: 1)"
    )
    parser.add_argument("--groups", type=positive_int, default=1, metavar="N", help="groups of channels (default: 1)")
    parser.add_argument("--plan", action="store_true", help="for konv.plan_conv2d, which packs weights beforehand")


def run(arguments: argparse.Namespace) -> int:
    """Print what `konv.explain` says."""
    explanation = konv.explain(
        "conv2d",
        input_shape=arguments.input,
        weight_shape=arguments.weight,
        stride=arguments.stride,
        padding=arguments.padding,
        dilation=arguments.dilation,
        groups=arguments.groups,
        plan=arguments.plan,
    )
    print(explanation)
    return 0
