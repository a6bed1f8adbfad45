"""``python -m ipvsnl.lab_kernel``: the same as ``ipvsnl lab-kernel``, where the program's script is not installed."""

import sys

from ipvsnl.lab_kernel.command import main

sys.exit(main(sys.argv[1:]))
