"""``python -m ipvssim``: the simulator's command."""

import sys

from ipvssim.doors.command import main

if __name__ == "__main__":
    sys.exit(main())
