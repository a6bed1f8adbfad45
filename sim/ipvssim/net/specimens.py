"""Packets of which only the flow is known: what decides about a packet reads it here, and its bytes are made when somebody
looks at them.

Whoever has thousands of packets that differ in addresses and ports alone (the laboratory of schedulers) has one specimen
for each kind of them, and gives it one flow after another.
"""

from __future__ import annotations

from typing import Protocol

from ipvssim.net.packets import Packet, parse4, parse6


class Form(Protocol):
    """What makes the bytes of a specimen's packets."""

    def packet(self, key: bytes) -> bytes:
        """The IP packet of a flow: ``key`` is its source, destination and both ports, as they stand in it."""


class Specimen(Packet):
    """A whole packet of one kind, without options and extension headers; addresses and ports are those of the flow that it
    was given last, ``data`` is of another one: its length, its flags and whatever it carries are right."""

    __slots__ = ("_form", "_half")

    specimen = True

    def __init__(self, data: bytes, form: Form, device: str = "", mark: int = 0) -> None:
        """``data`` is any packet of its kind. ValueError for one that is no plain packet."""
        parsed = parse4(data) if data[:1] < b"\x60" else parse6(data)
        if isinstance(parsed, str) or not parsed.key or parsed.offset not in (20, 40):
            raise ValueError(f"no plain packet: {parsed}")
        super().__init__(
            parsed.data, parsed.family, parsed.protocol, parsed.offset, parsed.hops, parsed.source, parsed.destination,
            parsed.key, 0, device, mark,
        )  # fmt: skip
        self._form = form
        self._half = len(parsed.source)

    def come_from(self, key: bytes) -> None:
        """Be of another client's flow, to where it was before."""
        self.key = key
        self.source = key[: self._half]

    def follow(self, key: bytes) -> None:
        """Be of another flow."""
        self.key = key
        self.source = key[: self._half]
        self.destination = key[self._half : -4]

    def raw(self) -> bytes:
        """Its bytes, made for this flow."""
        return self._form.packet(self.key)

    def whole(self) -> Packet:
        """The packet with its bytes."""
        data = self.raw()
        made = parse4(data, self.device, self.mark) if self._half == 4 else parse6(data, self.device, self.mark)
        assert isinstance(made, Packet), made
        return made
