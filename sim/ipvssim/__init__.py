"""A userspace twin of the Linux kernel's IPVS: the same netlink bytes, the same packets, no root.

:class:`Kernel` is the front door; it is imported when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipvssim.doors.sending import send as send
    from ipvssim.kernel import Kernel as Kernel
    from ipvssim.net.network import Network as Network

__all__ = ["Kernel", "Network", "compiled", "send"]

compiled: bool
"""Whether the hot modules run compiled (``IPVSSIM_COMPILE=1`` makes such a wheel). They do the same either way."""


def __getattr__(name: str) -> object:
    if name == "Kernel":
        from ipvssim.kernel import Kernel

        return Kernel
    if name == "Network":
        from ipvssim.net.network import Network

        return Network
    if name == "compiled":
        from ipvssim import clock

        return not str(clock.__file__).endswith((".py", ".pyc"))
    if name == "send":
        from ipvssim.doors.sending import send

        return send
    raise AttributeError(f"module 'ipvssim' has no attribute {name!r}")
