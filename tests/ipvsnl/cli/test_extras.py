"""Our own options around ipvsadm's: --json, --atomic, which connections; and the plain listing without privilege."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator

import pytest

from ipvsnl.cli.dispatch import run
from ipvsnl.cli.extras import Extras, take
from ipvsnl.model import Info
from ipvsnl.procfs import Filter, Listed, read_connections, read_services
from ipvsnl.refusals import KernelError
from ipvsnl.text.usage import UsageError

from .fake import FakeIPVS
from .recordings import command

CONNECTIONS = """\
Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP C0000201 8001 CB007101 0050 0A00000A 1F90 ESTABLISHED     899
TCP C0000202 8002 CB007101 0050 0A00000B 1F90 TIME_WAIT       100
UDP C0000203 8003 CB007101 0035 0A00000A 0035 UDP             299
TCP 20010db8000c00000000000000000001 8004 20010db8008000000000000000000001 0050 fd00001000000000000000000000000a 0050 NONE 9
"""


def ours(ipvs: FakeIPVS, *args: str, stdin: str = "") -> tuple[int, str, str]:
    """The command line under our name, with our options taken out as the program does."""
    rest, extras = take(args)
    out, err = io.StringIO(), io.StringIO()
    status = run(rest, client_factory=lambda: ipvs, stdin=io.StringIO(stdin), stdout=out, stderr=err, extras=extras)  # type: ignore[arg-type, return-value]
    return status, out.getvalue(), err.getvalue()


def table() -> FakeIPVS:
    ipvs = FakeIPVS()
    rules = "-A -t 10.0.0.1:80 -s sh -b sh-port -p 60\n-a -t 10.0.0.1:80 -r 10.1.0.1:8080 -m -x 9\n-A -f 7 -6\n"
    assert command(ipvs, "-R", stdin=rules) == (0, "", "")
    ipvs.lines = list(read_connections(CONNECTIONS.splitlines(keepends=True)))
    return ipvs


def test_ours_are_taken_out_anywhere() -> None:
    """Whatever stands around them is ipvsadm's."""
    rest, extras = take(["-L", "--json", "-c", "--server=10.0.0.1", "-n", "--state", "NONE"])
    assert rest == ["-L", "-c", "-n"]
    assert extras == Extras(json=True, server="10.0.0.1", state="NONE")
    with pytest.raises(ValueError, match="missing argument"):
        take(["-L", "-c", "--state"])


@pytest.mark.parametrize(
    "args", ["-S --json", "-Ln --atomic", "-A -f 1 --json", "-Ln --state NONE", "-Lc --server x:y"]
)
def test_ours_where_they_do_not_belong_are_refused(args: str) -> None:
    """Status 2 and a word about where they do; no kernel is asked."""
    status, out, err = ours(table(), *args.split())
    assert (status, out) == (2, "") and err.startswith("--")


def test_a_name_that_does_not_resolve_is_a_usage_error() -> None:
    """Not a traceback."""
    with pytest.raises(UsageError):
        Extras(service="no such host").chosen("list", frozenset(("connection",)))


def test_listings_as_json() -> None:
    """Services with all that is known, whatever columns; timeouts; daemons; one service alone."""
    ipvs = table()
    for options in (["-n"], ["-n", "--stats"], ["--rate"]):
        whole = json.loads(ours(ipvs, "-L", "--json", *options)[1])
        assert whole["kernel"] == {"version": "1.2.1", "connection_table_size": 4096}
        web, mark = sorted(whole["services"], key=lambda one: "fwmark" in one)
        assert (web["flags"], web["persistence"], mark["family"]) == (["sh-port"], 60, "ipv6")
        assert web["servers"][0]["upper_threshold"] == 9 and web["servers"][0]["tunnel"] is None
    assert json.loads(ours(ipvs, "-L", "--timeout", "--json")[1])["timeouts"] == {
        "tcp": 900,
        "tcp_fin": 120,
        "udp": 300,
    }
    assert json.loads(ours(ipvs, "-L", "--daemon", "--json")[1])["daemons"] == []
    assert len(json.loads(ours(ipvs, "-L", "-f", "7", "-6", "--json")[1])["services"]) == 1


@pytest.mark.parametrize(
    ("options", "ports"),
    [
        ("", [0x8001, 0x8002, 0x8003, 0x8004]),
        ("--state ESTABLISHED", [0x8001]),
        ("--service 203.0.113.1:80", [0x8001, 0x8002]),
        ("--service udp/203.0.113.1", [0x8003]),
        ("--service tcp/203.0.113.1 --server 10.0.0.11", [0x8002]),
        ("--server 10.0.0.10", [0x8001, 0x8003]),
        ("--server [fd00:10::a]:80", [0x8004]),
        ("--server 10.0.0.10:81", []),
    ],
)
def test_connections_are_chosen(options: str, ports: list[int]) -> None:
    """By service, server and state; as JSON and as text alike."""
    whole = json.loads(ours(table(), "-L", "-c", "--json", *options.split())[1])
    assert [one["client_port"] for one in whole["connections"]] == ports
    assert len(ours(table(), "-Lnc", *options.split())[1].splitlines()) == 2 + len(ports)


def test_choosing_streams() -> None:
    """A connection is handed on before the next is read."""
    read: list[int] = []

    def lines() -> Iterator[str]:
        for number, line in enumerate(CONNECTIONS.splitlines(keepends=True)):
            read.append(number)
            yield line

    chosen = Filter(protocol="TCP")(read_connections(lines()))
    assert next(chosen).client_port == 0x8001 and read == [0, 1]


class Unprivileged(FakeIPVS):
    """A kernel whose netlink refuses, and whose file can be read."""

    def info(self) -> Info:
        raise KernelError(errno.EPERM, 15)

    def plain(self) -> tuple[Info, list[Listed]]:
        return read_services([
            "IP Virtual Server version 1.2.1 (size=4096)\n", "Prot LocalAddress:Port Scheduler Flags\n",
            "  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n",
            "TCP  0A000001:0050 rr  persistent 6000 FFFFFF00\n",
            "  -> 0A010001:1F90      Masq    3      1          2         \n",
        ])  # fmt: skip


def test_a_plain_listing_without_privilege() -> None:
    """What the file tells is shown, with a note; under ipvsadm's name it is refused as ever."""
    status, out, err = ours(Unprivileged(), "-Ln")
    assert status == 0 and "Not known" in err
    assert "TCP  10.0.0.1:80 rr persistent ? mask 255.255.255.0\n" in out
    assert "  -> 10.1.0.1:8080                Masq    3      1          2         \n" in out
    assert command(Unprivileged(), "-Ln")[0] == 2
    assert ours(Unprivileged(), "-Ln", "--thresholds")[0] == 2
    found = json.loads(ours(Unprivileged(), "-Ln", "--json")[1])
    assert found["services"][0]["persistence"] is None and "services[].persistence" in found["unknown"]


def test_a_refused_change_is_explained_under_our_name() -> None:
    """One more line; ipvsadm's own bytes are as they were."""
    ipvs = table()
    args = ["-a", "-t", "10.0.0.1:80", "-r", "224.0.0.1:80", "-m"]
    message = "Invalid operation.  Possibly wrong module version, address not unicast, ...\n"
    assert command(ipvs, *args) == (255, "", message)
    status, _, err = ours(ipvs, *args)
    assert status == 255 and err.startswith(message)
