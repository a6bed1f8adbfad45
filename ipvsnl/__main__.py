"""``python -m ipvsnl``: the program, where its script is not installed."""

import sys

from ipvsnl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
