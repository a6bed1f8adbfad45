"""A real Linux kernel for one command, without root: user-mode-linux over the host's own file system.

    ipvsnl lab-kernel [--timeout SECONDS] [--release NAME] -- COMMAND [ARG...]

boots the kernel of Debian's package ``user-mode-linux``, runs COMMAND in it as root, with the caller's working directory,
environment and input, and ends with its exit status. From Python: ``run(command, timeout=60)``. It needs nothing but the
standard library and that package; ``--release`` boots others of Debian's kernels, which it fetches and does not install.
Names are imported when they are first used: the guest's process 1 needs few of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvsnl.lab_kernel.choosing import kernel_release as kernel_release
    from ipvsnl.lab_kernel.conversation import BootError as BootError
    from ipvsnl.lab_kernel.image import MissingError as MissingError
    from ipvsnl.lab_kernel.running import run as run
    from ipvsnl.lab_kernel.users import UserError as UserError

_HOMES = {
    "BootError": "conversation", "MissingError": "image", "UserError": "users", "kernel_release": "choosing",
    "run": "running",
}  # fmt: skip
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ipvsnl.lab_kernel' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"ipvsnl.lab_kernel.{_HOMES[name]}"), name)
