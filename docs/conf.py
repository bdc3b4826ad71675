"""Sphinx configuration: `sphinx-build -W -n docs build/html`, with konv[docs] installed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import konv

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import api_pages  # noqa: E402 - it lies beside this file

project = "konv"
author = "The konv developers"
version = release = konv.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.mathjax", "numpydoc", "myst_parser"]

# Docstrings say types, shapes and defaults; signatures stay readable without annotations.
autodoc_typehints = "none"
autodoc_preserve_defaults = True
autosummary_generate = False  # api_pages.py writes the pages
numpydoc_show_class_members = False  # autodoc lists them
myst_heading_anchors = 2  # links to sections of other pages
smartquotes = False
default_role = "autolink"  # `name` links to what it names, and is set in italics where it names an argument
nitpick_ignore_regex = [
    ("py:.*", r"(?!konv\.).*"),  # arguments, and other projects: building needs no network
    ("py:obj", r"konv\.nn\.(graph|execution|ops)"),  # named by the docstring of konv.nn as places in the source
]

html_theme = "furo"
html_title = f"konv {version}"
html_show_sourcelink = False
html_copy_source = False


def setup(app: Any) -> None:
    """Write the pages of the API before Sphinx looks for its sources."""
    app.connect("builder-inited", lambda _: api_pages.write(HERE / "api"))
