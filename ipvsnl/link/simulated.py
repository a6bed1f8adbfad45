"""The way to a simulated kernel in this process."""

from __future__ import annotations

import errno as _errno
import os

from ipvsnl.errors import LinkError
from ipvsnl.wire.exchange import RECEIVE_BUFFER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ipvsnl.link.contract import Endpoint


class SimulatedLink:
    """A simulated kernel in this process: ``endpoint`` is its end, ``place`` what locks and journals call it."""

    max_send = 1 << 20
    simulated = True
    at_once = True
    """Requests are executed, and answered, while they are sent: no signal needs to come in between."""

    def __init__(self, endpoint: Endpoint, place: str = "") -> None:
        self.place = place
        self._endpoint = endpoint
        self._closed = False

    def send(self, data: bytes) -> None:
        """See :class:`Link`."""
        if self._closed:
            raise LinkError(_errno.EBADF, "this link is closed")
        self._endpoint.send(data)

    def receive(self, timeout: float) -> bytes:
        """See :class:`Link`: nothing is on its way in a simulated kernel, so an empty queue is a lost answer at once."""
        try:
            return self._endpoint.recv(RECEIVE_BUFFER)
        except BlockingIOError:
            raise LinkError(_errno.ETIMEDOUT, f"the kernel did not answer in {timeout:g} s") from None
        except OSError as wrong:
            raise LinkError(wrong.errno or 0, f"receiving failed: {os.strerror(wrong.errno or 0)}") from wrong

    def proc(self, name: str) -> Iterable[str]:
        """See :class:`Link`."""
        return self._endpoint.proc(name)

    def close(self) -> None:
        """See :class:`Link`."""
        self._closed = True
        self._endpoint.close()
