"""``python -m ipvssim``: the simulator's command."""

import sys

from ipvssim.command import main

if __name__ == "__main__":
    sys.exit(main())
