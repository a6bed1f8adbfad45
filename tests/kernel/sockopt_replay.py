"""The same script of the old interface on the simulated kernel, its answers in the form of sockopt_guest.py."""

from __future__ import annotations

from typing import Any

from ipvssim.net.networks import vectors_network
from ipvssim.netlink.old_interface import OldInterface
from ipvssim.netlink.socket import NetlinkSocket
from ipvssim.state.namespace import Namespace
from tests.kernel.netlink_guest import renumber_requests
from tests.kernel.sockopt_scripts import GUARD, Call


def simulated(script: list[Call], hash_key: int, family: int, release: str = "6.1.176") -> list[list[Any]]:
    """What the simulated kernel answers."""
    namespace = Namespace(network=vectors_network(), hash_key=hash_key, release=release)
    link = NetlinkSocket(namespace, family_id=family)
    old = OldInterface(link)
    return [_answer(call, link, old, family) for call in script]


def _answer(call: Call, link: NetlinkSocket, old: OldInterface, family: int) -> list[Any]:
    kind, first, *rest = call
    if kind == "netlink":
        link.send(renumber_requests(bytes.fromhex(first), family))
        return []
    value = bytes.fromhex(rest[0])
    if kind == "set":
        return [old.set(first, value)]
    error, written = old.get(first, value, rest[1])
    after = value if error else written + value[len(written) :]
    return [error, (after + b"\xa5" * GUARD).hex(), rest[1] if error else len(written)]
