"""`konv explain`."""

from __future__ import annotations

import argparse

import konv

from .arguments import padding, pair, positive_int, shape

HELP = "list the algorithms for a convolution: chosen, cost, or why not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--op", choices=["conv2d"], default="conv2d")
    parser.add_argument("--input", type=shape, required=True, metavar="N,C,H,W")
    parser.add_argument("--weight", type=shape, required=True, metavar="K,C,R,S", help="C is that of a group")
    parser.add_argument("--stride", type=pair, default=1, metavar="Y[,X]")
    parser.add_argument("--padding", type=padding, default=0, metavar="Y[,X]|same|valid")
    parser.add_argument("--dilation", type=pair, default=1, metavar="Y[,X]")
    parser.add_argument("--groups", type=positive_int, default=1)
    parser.add_argument("--plan", action="store_true", help="weights are packed beforehand")


def run(arguments: argparse.Namespace) -> int:
    """Print what `konv.explain` says."""
    explanation = konv.explain(
        arguments.op,
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
