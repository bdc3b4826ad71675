"""`python -m konv.bench` is `konv bench`."""

import sys

from konv.bench.command import main

sys.exit(main())
