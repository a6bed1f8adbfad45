"""``python -m ipvssim.replay``: see :mod:`ipvssim.doors.replay`."""

import sys

from ipvssim.doors.replay import main

if __name__ == "__main__":
    sys.exit(main())
