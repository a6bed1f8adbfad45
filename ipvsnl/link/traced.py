"""A link that shows what passes: with ``IPVSNL_DEBUG=1`` each netlink message is a line on standard error, both ways.

::

    ipvsnl: > seq 2 IPVS NEW_SERVICE request ack service(af=2 protocol=6 addr=192.0.2.1 port=80 ...)
    ipvsnl: < seq 2 REFUSED EEXIST (17)
"""

from __future__ import annotations

import sys

from ipvsnl.wire.shown import lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvsnl.link.contract import Link


class TracedLink:
    """Another link, with a line of text for each message. It has no descriptor, so every message goes through Python."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.max_send = link.max_send
        self.place = getattr(link, "place", "")
        self.simulated = getattr(link, "simulated", False)
        self.at_once = getattr(link, "at_once", False)
        self.interface = getattr(link, "interface", "netlink")

    @property
    def waitable(self) -> int | None:
        """The other link's."""
        waitable: int | None = getattr(self._link, "waitable", None)
        return waitable

    def send(self, data: bytes) -> None:
        """Show it, then send it."""
        _show(">", data)
        self._link.send(data)

    def receive(self, timeout: float) -> bytes:
        """Receive, then show it."""
        data = self._link.receive(timeout)
        _show("<", data)
        return data

    def proc(self, name: str) -> Iterable[str]:
        """The lines of the file, which are not shown."""
        return self._link.proc(name)

    def close(self) -> None:
        """Let go of the link."""
        self._link.close()


def _show(way: str, data: bytes) -> None:
    print("\n".join(f"ipvsnl: {way} {line}" for line in lines(data)), file=sys.stderr)
