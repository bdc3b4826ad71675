"""`python -m konv` is the command `konv`."""

import sys

from .cli import main

sys.exit(main())
