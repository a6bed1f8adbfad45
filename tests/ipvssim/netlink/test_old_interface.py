"""The old interface of the simulated kernel: recorded calls, and what no recording shows."""

from __future__ import annotations

import json
import lzma
from errno import EEXIST, EFAULT, EINVAL, ENOPROTOOPT, ESRCH
from typing import Any

import pytest

from ipvsnl import sockopt
from ipvsnl.consts import CONN_F_ONE_PACKET
from ipvsnl.sockopt import Get, Set
from ipvssim import Kernel
from ipvssim.netlink.old_interface import OldInterface
from ipvssim.state.saving import dumped, restored
from tests.kernel.sockopt_replay import simulated
from tests.places import DATA

RECORDED: list[dict[str, Any]] = json.loads(lzma.decompress((DATA / "sockopt.json.xz").read_bytes()))
VIP = bytes((192, 0, 2, 1))
PORT = int.from_bytes((80).to_bytes(2, "big"), "little")


def service(protocol: int = 6, fwmark: int = 0, address: bytes = VIP, port: int = PORT, name: bytes = b"rr") -> bytes:
    return sockopt.SERVICE.pack(protocol, address, port, fwmark, name, 0, 0, 0xFFFFFFFF)


def dest(flags: int = 0, last: int = 2) -> bytes:
    return sockopt.DEST.pack(bytes((10, 0, 0, last)), PORT, flags, 1, 0, 0)


def services(old: OldInterface) -> list[tuple[Any, ...]]:
    count = sockopt.INFO.unpack(old.get(Get.INFO, bytes(12), 12)[1])[2]
    buffer = sockopt.GET_SERVICES.pack(count) + bytes(count * sockopt.SERVICE_ENTRY.size)
    error, answer = old.get(Get.SERVICES, buffer, len(buffer))
    assert not error
    return list(sockopt.SERVICE_ENTRY.iter_unpack(answer[sockopt.GET_SERVICES.size :]))


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_recorded_calls_end_alike(number: int) -> None:
    """The errno, every byte of the buffer and its length are those that Linux 6.1.176 answered."""
    one = RECORDED[number]
    ours = simulated(one["script"], one["hash_key"], one["family"])
    for call, theirs, mine in zip(one["script"], one["answers"], ours, strict=True):
        assert mine == theirs, call


def test_numbers_outside_are_nobodys() -> None:
    """Options below and above IPVS's are ENOPROTOOPT, whoever asks; those between that have no meaning are EINVAL."""
    old = OldInterface(Kernel())
    assert [old.set(one, b"") for one in (sockopt.BASE - 1, Set.MAX + 1)] == [ENOPROTOOPT] * 2
    assert [old.get(one, b"", 0)[0] for one in (sockopt.BASE - 1, Get.MAX + 1)] == [ENOPROTOOPT] * 2
    assert [old.set(sockopt.BASE + one, b"") for one in (0, 1, 6, 13, 14)] == [EINVAL] * 5
    assert old.get(sockopt.BASE + 5, bytes(8), 8) == (EINVAL, b"")


def test_a_buffer_that_cannot_be_read_is_a_fault() -> None:
    """Fewer bytes than the option has, though the length says otherwise: EFAULT, as copy_from_user has it."""
    assert OldInterface(Kernel()).get(Get.SERVICE, bytes(10), 104) == (EFAULT, b"")


def test_a_mark_keeps_what_it_was_added_with() -> None:
    """A service of a mark tells its protocol, address and port, and goes by its protocol, too: another one is ESRCH."""
    old = OldInterface(Kernel())
    assert old.set(Set.ADD, service(17, 7)) == 0
    assert old.set(Set.ADD, service(6, 7)) == EEXIST
    assert services(old)[0][:4] == (17, VIP, PORT, 7)
    assert old.set(Set.EDIT, service(6, 7)) == ESRCH
    assert old.set(Set.DEL, service(17, 7, bytes(4), 0)) == 0


def test_both_interfaces_see_one_table() -> None:
    """What one made, the other shows: a destination's flags, weight and thresholds; what cannot be shown is left out."""
    kernel = Kernel("-A -t 192.0.2.1:80 -s wlc\n-A -t [2001:db8::1]:80")
    old = OldInterface(kernel)
    assert len(services(old)) == 1
    assert old.set(Set.ADDDEST, service() + dest(3)) == 0
    assert "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 1\n" in kernel.ipvsadm("-S", "-n").stdout


def test_flags_of_a_destination_are_saved() -> None:
    """One-packet scheduling of a destination, which only this interface sets, and a mark's key outlive a table's file."""
    kernel = Kernel()
    old = OldInterface(kernel)
    assert old.set(Set.ADD, service(17, 7)) == 0
    assert old.set(Set.ADDDEST, service(17, 7) + dest(CONN_F_ONE_PACKET | 3)) == 0
    again = restored(dumped(kernel.namespace), Kernel)
    assert services(OldInterface(again)) == services(old)
    (server,) = next(iter(again.table.services())).servers()
    assert (server.flags, server.forwarding) == (CONN_F_ONE_PACKET, 3)


def test_one_packet_of_a_destination() -> None:
    """A UDP connection of a destination with that flag is not kept, and one of another is."""
    from scapy.layers.inet import IP, UDP

    for flags, kept in ((0, 1), (CONN_F_ONE_PACKET, 0)):
        kernel = Kernel("-A -u 192.0.2.1:80 -s rr")
        assert OldInterface(kernel).set(Set.ADDDEST, service(17) + dest(flags | 3)) == 0
        kernel.receive(bytes(IP(src="198.51.100.7", dst="192.0.2.1") / UDP(sport=9, dport=80)))
        assert len(kernel.connections()) == kept


def test_refusals_are_written_to_the_log() -> None:
    """A wrong length is a line of level 1, a wrong protocol and a wrong count are errors: the kernel's words."""
    kernel = Kernel(debug_level=1)
    old = OldInterface(kernel)
    old.set(Set.ADD, b"")
    old.set(Set.ADD, service(1))
    old.get(Get.SERVICES, sockopt.GET_SERVICES.pack(2), 8)
    assert [one.text for one in kernel.log] == [
        "IPVS: set_ctl: len 0 != 44", "IPVS: set_ctl: invalid protocol: 1 192.0.2.1:80", "IPVS: length: 8 != 216",
    ]  # fmt: skip
