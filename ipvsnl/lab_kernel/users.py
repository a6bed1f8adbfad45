"""Whose process the kernel is: what the guest writes belongs to that user, and its mknod can do what that user can.

A kernel that is root's own makes devices of the host's. So root starts it as somebody else, unless told not to.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ORDINARY = "nobody"
"""Whose it is where root started it, and not by sudo."""


class UserError(RuntimeError):
    """There is no such user, or the user can't read what the guest is started from."""


class User(NamedTuple):
    """Somebody that a process can become."""

    name: str
    number: int
    group: int


def chosen(name: str | None, as_root: bool, environment: Mapping[str, str] = os.environ) -> User | None:
    """Whom to become: the user of that name; else, for root, who called sudo, or ``nobody``. None: stay as one is.

    UserError where that can't be.
    """
    if not hasattr(os, "geteuid") or os.geteuid():
        if name is not None:
            raise UserError(f"--user {name}: only root can become somebody else")
        return None
    if as_root:
        return None
    import pwd

    number = environment.get("SUDO_UID", "0")
    try:
        by_sudo = name is None and number.isdigit() and int(number) != 0
        found = pwd.getpwuid(int(number)) if by_sudo else pwd.getpwnam(name or ORDINARY)
    except (KeyError, OverflowError):
        raise UserError(f"there is no user {name or number}: --user NAME, or --as-root") from None
    return User(found.pw_name, found.pw_uid, found.pw_gid)


def check(user: User, *files: str) -> None:
    """UserError where the user can't read one of the files: the guest would only die of it."""
    for file in files:
        command = ["/usr/bin/test", "-r", file]
        done = subprocess.run(command, user=user.number, group=user.group, extra_groups=[], cwd="/", env={})
        if done.returncode:
            where = Path(file)
            raise UserError(f"{user.name} can't read {where}: --user NAME for somebody who can, or --as-root")
