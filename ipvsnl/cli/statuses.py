"""Exit statuses of the program."""

from __future__ import annotations

REFUSED = 255
"""The kernel refuses a change (-1 in ipvsadm)."""
LIST_FAILED = 1
"""A listing fails."""
NO_KERNEL = 2
"""There is no kernel to speak to."""
USAGE = 2
"""The command line is not understood; with ipvsadm's own refusals it is ipvsadm's status."""
FAILED = 1
"""A sub-command fails."""
NOTHING_TO_DO, CHANGES = 0, 2
"""Of ``plan``: nothing differs, something does."""
INCOMPLETE = 2
"""Of ``convert``: what is written is not the whole table, and the rest is named."""
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
"""Ended by SIGINT, by SIGPIPE, by SIGTERM: 128 and the signal's number."""
BUG = 70
"""A fault of ours (EX_SOFTWARE of sysexits.h)."""
