"""How the modelled release reads the packet that an ICMP error quotes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from ipvsnl.consts import AF_INET
from ipvssim.net.packets import (
    AH,
    ANY_NUMBER,
    ESP,
    MOST_HEADERS6,
    OFFSET,
    OFFSET6,
    SCTP,
    TCP,
    UDP,
    Packet,
    quote,
    walk_quoted6,
)

if TYPE_CHECKING:
    from ipvssim.behaviours import Behaviours

_FOLLOWED: Final = frozenset((TCP, UDP, SCTP, AH, ESP))
_PORTLESS: Final = (AH, ESP)


class Quoting(NamedTuple):
    """What is demanded of the headers of a quoted packet."""

    any_header: bool
    """Whether nobody looks at the version and the length that an IPv4 header says of itself."""
    whole_headers: bool
    most_headers: int
    portless_later: bool
    """Whether later fragments of AH and ESP, which have no ports anyway, are followed, and no others. Else it is the other
    way round over IPv4."""
    later6: bool
    """Without ``portless_later``: whether later fragments over IPv6 are followed."""

    def read(self, body: bytes, family: int, *, reverse: bool) -> Packet | None:
        """The packet that ``body``, what follows the error's own eight bytes, quotes; ``reverse`` turns it round."""
        return quote(
            body, family, reverse=reverse, any_version=self.any_header and family == AF_INET, any_length=self.any_header,
            walk=partial(walk_quoted6, most=self.most_headers, whole=self.whole_headers),
        )  # fmt: skip

    def followed(self, body: bytes, family: int, *, reverse: bool = True) -> Packet | None:
        """The same, if a connection is looked for; None: the error is let be."""
        quoted = self.read(body, family, reverse=reverse)
        if quoted is None or quoted.protocol not in _FOLLOWED:
            return None
        if not quoted.fragment & (OFFSET if family == AF_INET else OFFSET6):
            return quoted
        portless = quoted.protocol in _PORTLESS
        if self.portless_later:
            return quoted if portless else None
        return quoted if (not portless if family == AF_INET else self.later6) else None


def of_requests(known: Behaviours) -> Quoting:
    """In an error of the client's side (ip_vs_in_icmp, ip_vs_in_icmp_v6)."""
    return _quoting(known, any_header=not known.quoted_headers, later6=False)


def of_replies(known: Behaviours) -> Quoting:
    """In an error of the servers' side, and in the director's own (ip_vs_out_icmp, ip_vs_out_icmp_v6)."""
    return _quoting(known, any_header=not known.quoted_fragments, later6=True)


def _quoting(known: Behaviours, *, any_header: bool, later6: bool) -> Quoting:
    most = MOST_HEADERS6 if known.header_limit6 else ANY_NUMBER
    return Quoting(any_header, known.whole_headers6, most, known.quoted_fragments, later6)
