"""What became of a packet."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from ipvssim.net.network import Network
    from ipvssim.net.packets import Packet
    from ipvssim.path.connections import ConnectionEntry
    from ipvssim.state.services import RealServer, VirtualService


class Verdict(Enum):
    """The effects: it left, the host itself got it, it was dropped, or it waits for its other fragments."""

    FORWARD = "forward"
    LOCAL = "local"
    DROP = "drop"
    HELD = "held"


FORWARD: Final = Verdict.FORWARD
TO_HOST: Final = Verdict.LOCAL
DROP: Final = Verdict.DROP
HELD: Final = Verdict.HELD
UNMOVED: Final = "its sequence numbers can't be moved: it has options that can't be read"
CLASH: Final = "another connection-tracking entry has its addresses and ports"
_Frames = list[tuple[str, bytes]]
_NOTHING: Final[Mapping[str, str]] = {}


class Result:
    """The answer to one packet.

    ``out`` is what left, in order: (device, bytes, with the Ethernet header on Ethernet devices); that may be an ICMP error
    though the packet itself was dropped. ``reason`` says in words why the ``verdict`` is what it is. ``service``,
    ``server`` and ``connection`` are those that the packet met, where it met any; ``opened`` says that it opened the
    connection. Where the director was told to explain: ``choice`` is what the scheduler looked at, ``why`` are sentences
    that name what decided, ``state_before`` and ``lived`` (microseconds, None where that is not known) tell of the
    connection that the packet met, ``consulted`` are the tunables that were read on its way, with their values.
    ``answers`` is what a program of the host's own said to the packet, as it left (``Kernel.listen``).
    """

    verdict = DROP
    reason = ""
    packet: Packet | None = None
    service: VirtualService | None = None
    server: RealServer | None = None
    connection: ConnectionEntry | None = None
    opened = False
    choice: dict[str, Any] | None = None
    why: tuple[str, ...] = ()
    state_before = ""
    lived: int | None = None
    answers: _Frames | tuple[()] = ()
    network: Network | None = None
    """Where its devices are described."""

    def __init__(self) -> None:
        self.out: _Frames = []
        self.consulted: Mapping[str, str] = _NOTHING

    def begin(self) -> None:
        """Be the answer to another packet, of which nothing is known yet."""
        self.verdict = DROP
        self.reason = ""
        self.service = self.server = self.connection = None
        self.opened = False
        if self.out:
            self.out = []

    @property
    def local(self) -> bool:
        """Whether the packet was handed to the director's own host."""
        return self.verdict is TO_HOST

    @property
    def packets(self) -> list[Any]:
        """What left, as scapy packets (:func:`ipvssim.net.scapy_packets.packets`)."""
        from ipvssim.net.scapy_packets import packets

        return packets(self.out, self.network)

    def meet(self, packet: Packet) -> None:
        """Its packet is this: as it came in, later as it was put together."""
        self.packet = packet

    def drop(self, reason: str) -> Result:
        """Say that it is dropped, and why."""
        self.verdict = DROP
        self.reason = reason
        return self

    def accept(self, reason: str) -> Result:
        """Say that the host itself gets it, and why."""
        self.verdict = TO_HOST
        self.reason = reason
        return self

    def explain(self) -> dict[str, Any]:
        """The packet's way in JSON's types (:mod:`ipvssim.path.explain`)."""
        from ipvssim.path.explain import explain

        return explain(self)

    def __repr__(self) -> str:
        where = f" {self.server.endpoint}" if self.server is not None else ""
        return f"<Result {self.verdict.value}{where}: {self.reason or 'no reason'}; packets out {len(self.out)}>"


__all__ = ["CLASH", "DROP", "FORWARD", "HELD", "TO_HOST", "UNMOVED", "Result", "Verdict"]
