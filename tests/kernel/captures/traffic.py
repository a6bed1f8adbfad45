"""Real servers that say who they are, and clients that note who served them."""

from __future__ import annotations

import random
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from tests.kernel.captures.world import SERVERS, inside

SCTP = 132
KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0), "sctp": (socket.SOCK_STREAM, SCTP)}
ASKED4, ASKED6 = (socket.IPPROTO_IP, 8), (socket.IPPROTO_IPV6, 49)
"""IP_PKTINFO and IPV6_RECVPKTINFO."""
RESET = struct.pack("ii", 1, 0)
BYE, BIG = b"bye", b"big"


class Visit(NamedTuple):
    """What a client does: the protocol, where it goes, and how: ``get``, ``hold``, ``reset``, ``bye`` (the server ends it),
    ``big`` (a long answer), ``again`` (from the port of the visit before), ``none`` (nobody listens there)."""

    protocol: str
    address: str
    port: int
    how: str = "get"


class Answer(NamedTuple):
    """Who served whom: a row of the truth."""

    protocol: str
    client: str
    virtual: str
    server: str


def shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Servers:
    """Every real server's programs, on one thread. They answer ``ADDRESS:PORT`` and close when the client does."""

    def __init__(self, ports: Iterable[tuple[str, int]], extra: Iterable[str] = ()) -> None:
        self._selector = selectors.DefaultSelector()
        self._done = False
        places = [(f"server{number}", f"10.0.0.{10 + number}", f"fd00:10::{10 + number}") for number in SERVERS]
        places += [("director", address, "") for address in extra]
        for name, four, six in places:
            with inside(name):
                for protocol, port in sorted(set(ports)):
                    self._listen(protocol, socket.AF_INET, port, four, "" if name != "director" else four)
                    if six:
                        self._listen(protocol, socket.AF_INET6, port, six, "")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._done = True
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def _listen(self, protocol: str, family: int, port: int, name: str, at: str) -> None:
        kind, number = KINDS[protocol]
        made = socket.socket(family, kind, number)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((at, port))
        if kind == socket.SOCK_STREAM:
            made.listen(128)
        made.setblocking(False)
        if kind == socket.SOCK_DGRAM:  # answers come from the address that was asked
            made.setsockopt(*(ASKED4 if family == socket.AF_INET else ASKED6), 1)
        said = shown(name, port).encode()
        self._selector.register(made, selectors.EVENT_READ, (kind == socket.SOCK_STREAM, said))

    def _serve(self) -> None:
        while not self._done:
            for key, _ in self._selector.select(0.1):
                listens, said = key.data
                made = key.fileobj
                assert isinstance(made, socket.socket)
                with suppress(OSError):
                    self._turn(made, listens, said)

    def _turn(self, made: socket.socket, listens: bool | None, said: bytes) -> None:
        if listens:
            one, _ = made.accept()
            self._selector.register(one, selectors.EVENT_READ, (None, said))
        elif listens is None:
            data = b""
            with suppress(OSError):
                data = made.recv(2048)
            if data:
                made.sendall(said + (b" " * 20_000 if data == BIG else b""))
            if not data or data == BYE:
                self._selector.unregister(made)
                made.close()
        else:
            _, ancillary, _, sender = made.recvmsg(2048, 256)
            made.sendmsg([said], [_without_device(*one) for one in ancillary], 0, sender)


class Clients:
    """The clients of one run; ``answers`` is what they noted."""

    def __init__(self, name: str, addresses: tuple[str, ...], addresses6: tuple[str, ...], seed: int) -> None:
        self.name, self.addresses, self.addresses6 = name, addresses, addresses6
        self.random = random.Random(seed)
        self.answers: list[Answer] = []
        self.held: list[socket.socket] = []
        self.last: dict[str, tuple[str, int]] = {}

    def go(self, visit: Visit) -> None:
        """One visit, to its end."""
        kind, number = KINDS[visit.protocol]
        family = socket.AF_INET6 if ":" in visit.address else socket.AF_INET
        with inside(self.name):
            made = socket.socket(family, kind, number)
        made.settimeout(3)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = self.random.choice(self.addresses6 if ":" in visit.address else self.addresses)
        made.bind(self.last.get(visit.protocol, (address, 0)) if visit.how == "again" else (address, 0))
        client = self.last[visit.protocol] = made.getsockname()[:2]
        try:
            made.connect((visit.address, visit.port))
            made.send(BYE if visit.how == "bye" else BIG if visit.how == "big" else b"who?")
            said = made.recv(100).decode().strip()
            while visit.how == "big" and made.recv(65536)[-1:] == b" " and not _is_empty(made):
                pass
        except OSError:
            said = ""
        if said:
            self.answers.append(Answer(visit.protocol, shown(*client), shown(visit.address, visit.port), said))
        if visit.how == "hold":
            self.held.append(made)
            return
        if visit.how == "reset":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        if visit.how == "bye":
            with suppress(OSError):
                made.recv(100)
        made.close()

    def close(self) -> None:
        for made in self.held:
            made.close()
        time.sleep(0.1)


def _is_empty(made: socket.socket) -> bool:
    time.sleep(0.05)
    try:
        return not made.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True


def _without_device(level: int, kind: int, data: bytes) -> tuple[int, int, bytes]:
    """Where a datagram came to, without the device that it came by (a tunnel's is no way back)."""
    return level, kind, bytes(4) + data[4:] if level == socket.IPPROTO_IP else data[:16] + bytes(4)
