"""``python -m ipvsnl.cli``: the program, where its script is not installed."""

import sys

from ipvsnl.cli.main import main

sys.exit(main())
