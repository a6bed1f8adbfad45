"""``python -m ipvssim.replay``: see :mod:`ipvssim.doors.replay`."""

import sys

from ipvssim.command import main

if __name__ == "__main__":
    sys.exit(main(["replay", *sys.argv[1:]]))
