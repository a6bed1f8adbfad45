"""Other people's encoders against the simulated kernel: what they get right works, what they get wrong is refused.

pyroute2 0.9.7 and gnlpy 0.1.2 are test-only dependencies.
"""

from __future__ import annotations

import array
import asyncio
import errno
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gnlpy.ipvs
import gnlpy.netlink
import pytest
from pyroute2 import IPVSDest, IPVSService
from pyroute2.ipvs import AsyncIPVS
from pyroute2.netlink.generic import ipvs as pyroute2_ipvs

from ipvsnl.client import IPVS
from ipvsnl.model import Destination, Service
from ipvssim import Kernel
from ipvssim.net.networks import default_network
from ipvssim.netlink.socket import FAMILY_ID, NetlinkSocket

WEB = Service("tcp", "192.0.2.1", 80, scheduler="wlc")
TCP = 6


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(network=default_network())


@pytest.fixture
def ipvs(kernel: Kernel) -> Iterator[IPVS]:
    with kernel.connect() as client:
        yield client


def ask(kernel: Kernel, request: bytes) -> int:
    """Send one request as root and return the errno that answers it (0 for an ACK)."""
    socket = NetlinkSocket(kernel.namespace)
    socket.send(request)
    answer = socket.recv(65536)
    assert struct.unpack_from("=H", answer, 4) == (2,)
    return -int(struct.unpack_from("=i", answer, 16)[0])


# --- pyroute2 --------------------------------------------------------------------------------------------------------


def pyroute2_request(command: str, service: dict[str, Any], dest: dict[str, Any] | None = None) -> bytes:
    """What pyroute2's ``IPVS().service(...)`` and ``.dest(...)`` put on the wire, without its sockets."""
    message = pyroute2_ipvs.ipvsmsg()
    message["cmd"], message["version"] = getattr(pyroute2_ipvs, f"IPVS_CMD_{command}"), 1
    message["attrs"] = [("IPVS_CMD_ATTR_SERVICE", IPVSService(**service).dump_nla())]
    if dest is not None:
        message["attrs"] = [
            ("IPVS_CMD_ATTR_SERVICE", IPVSService(**service).dump_key()),
            ("IPVS_CMD_ATTR_DEST", IPVSDest(**dest).dump_nla()),
        ]
    message["header"].update({"type": FAMILY_ID, "flags": 5, "sequence_number": 7, "pid": 0})
    message.reset()
    message.encode()
    return bytes(message.data)


ADDRESSED = {"addr": "192.0.2.1", "port": 80, "protocol": TCP}


def test_what_pyroute2_gets_right_is_understood(kernel: Kernel, ipvs: IPVS) -> None:
    """An IPv4 service and its servers, added and deleted by pyroute2's bytes, are what our client reads."""
    assert ask(kernel, pyroute2_request("NEW_SERVICE", ADDRESSED)) == 0
    assert ask(kernel, pyroute2_request("NEW_DEST", ADDRESSED, {"addr": "10.0.0.1", "port": 80, "weight": 5})) == 0
    assert [status.service for status in ipvs.services()] == [WEB]
    assert [status.destination for status in ipvs.servers(WEB)] == [Destination("10.0.0.1", 80, "route", 5)]
    assert ask(kernel, pyroute2_request("DEL_DEST", ADDRESSED, {"addr": "10.0.0.1", "port": 80})) == 0
    assert ask(kernel, pyroute2_request("DEL_SERVICE", ADDRESSED)) == 0
    assert ipvs.services() == []


def test_pyroute2s_ipv6_service_is_refused_as_the_kernel_refuses_it(kernel: Kernel) -> None:
    """pyroute2 leaves the prefix length out where the address is IPv6: EINVAL."""
    service = {"addr": "2001:db8::1", "port": 80, "protocol": TCP}
    assert ask(kernel, pyroute2_request("NEW_SERVICE", service)) == errno.EINVAL


def test_pyroute2s_gue_port_arrives_swapped_as_on_the_kernel(kernel: Kernel, ipvs: IPVS) -> None:
    """pyroute2 writes the tunnel port in the host's byte order, where the kernel reads the network's."""
    ipvs.add_service(WEB)
    gue = {"addr": "10.0.0.1", "port": 80, "fwd_method": 2, "tun_type": 1, "tun_port": 6080}
    assert ask(kernel, pyroute2_request("NEW_DEST", ADDRESSED, gue)) == 0
    (status,) = ipvs.servers(WEB)
    assert status.destination.tunnel_port == int.from_bytes((6080).to_bytes(2, "little"), "big")


def test_pyroute2s_update_deletes_as_on_the_kernel() -> None:
    """pyroute2's "update" is the command DEL: the kernel obeys, and so does its twin."""
    with pytest.MonkeyPatch.context() as patch:
        sent: list[int] = []

        async def record(_: object, message: Any, msg_flags: int) -> list[Any]:
            sent.append(message["cmd"])
            return []

        patch.setattr(AsyncIPVS, "_do_request", record)
        asyncio.run(AsyncIPVS.service(AsyncIPVS.__new__(AsyncIPVS), "update", IPVSService(**ADDRESSED)))
    assert sent == [pyroute2_ipvs.IPVS_CMD_DEL_SERVICE]


# --- gnlpy -----------------------------------------------------------------------------------------------------------


class Socket:
    """As much of a socket as gnlpy uses, over the simulated kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self._end = NetlinkSocket(kernel.namespace)

    def bind(self, _: object) -> None:
        """Nothing to bind."""

    def getsockname(self) -> tuple[int, int]:
        return self._end.port, 0

    def send(self, data: Any) -> None:
        self._end.send(bytes(data))

    def recv(self, size: int) -> bytes:
        return self._end.recv(size)

    def close(self) -> None:
        """Nothing to close."""


class Array(array.array):  # type: ignore[type-arg]
    """What gnlpy was written for: Python dropped ``fromstring`` in 3.9, and gnlpy has had no release since."""

    tostring = array.array.tobytes

    def fromstring(self, data: str | bytes) -> None:
        self.frombytes(data.encode("latin-1") if isinstance(data, str) else data)


@pytest.fixture
def gnlpy_client(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(gnlpy.netlink.socket, "socket", lambda *_: Socket(kernel))
    monkeypatch.setattr(gnlpy.netlink, "array", SimpleNamespace(array=Array))
    monkeypatch.setattr(gnlpy.netlink.subprocess, "check_call", lambda _: 0)
    return gnlpy.ipvs.IpvsClient()


def test_what_gnlpy_gets_right_is_understood(gnlpy_client: Any, ipvs: IPVS) -> None:
    """gnlpy's whole client works on the simulated kernel: services, marks, servers, both families, dumps, deletion."""
    gnlpy_client.add_service("192.0.2.1", 80, sched_name="wlc")
    gnlpy_client.add_dest("192.0.2.1", 80, "10.0.0.1", weight=5, method=gnlpy.ipvs.IPVS_MASQUERADING)
    gnlpy_client.update_dest("192.0.2.1", 80, "10.0.0.1", weight=9, method=gnlpy.ipvs.IPVS_MASQUERADING)
    gnlpy_client.add_fwm_service(7, sched_name="rr", af=10)
    gnlpy_client.add_service("2001:db8::1", 443, sched_name="sh")
    gnlpy_client.add_dest("2001:db8::1", 443, "fd00::1")
    six = Service("tcp", "2001:db8::1", 443, scheduler="sh")
    assert {status.service for status in ipvs.services()} == {
        WEB,
        six,
        Service(fwmark=7, family=10, scheduler="rr"),
    }
    assert [status.destination for status in ipvs.servers(WEB)] == [Destination("10.0.0.1", 80, "masq", 9)]
    assert [status.destination for status in ipvs.servers(six)] == [Destination("fd00::1", 443, "tunnel")]
    gnlpy_client.del_dest("192.0.2.1", 80, "10.0.0.1")
    assert ipvs.servers(WEB) == []
    gnlpy_client.flush()
    assert ipvs.services() == []


def test_gnlpy_cannot_read_what_kernels_since_5_3_send(gnlpy_client: Any) -> None:
    """gnlpy falls over the tunnel attributes of a real server; our client's dump is not what it stumbles on."""
    gnlpy_client.add_service("192.0.2.1", 80)
    gnlpy_client.add_dest("192.0.2.1", 80, "10.0.0.1")
    with pytest.raises(KeyError, match="13"):
        gnlpy_client.get_pools()


def test_gnlpys_update_without_a_weight_is_refused_as_the_kernel_refuses_it(gnlpy_client: Any, ipvs: IPVS) -> None:
    """gnlpy leaves the weight out when it is not given: EINVAL, and nothing is changed."""
    ipvs.add_service(WEB)
    ipvs.add_server(WEB, Destination("10.0.0.1", 80, "tunnel", 5))
    with pytest.raises(OSError) as refused:
        gnlpy_client.update_dest("192.0.2.1", 80, "10.0.0.1")
    assert refused.value.errno == errno.EINVAL
    assert [status.destination.weight for status in ipvs.servers(WEB)] == [5]
