"""`python -m benchmarks.cuda`."""

from .command import main

raise SystemExit(main())
