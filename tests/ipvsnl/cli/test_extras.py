"""Our own options around ipvsadm's: --json, --atomic, which connections; and the plain listing without privilege."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator

import pytest

from ipvsnl.cli.dispatch import run
from ipvsnl.cli.extras import Extras, take
from ipvsnl.client import IPVS
from ipvsnl.errors import DecodeError, LinkError
from ipvsnl.model import Info
from ipvsnl.procfs import Filter, Listed, read_connections, read_services, read_trash
from ipvsnl.refusals import KernelError
from ipvsnl.text.popt import UsageError
from ipvssim import Kernel

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


# --- the trash ---


def deleted() -> Kernel:
    kernel = Kernel(
        "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m\n-A -f 7 -6\n-a -f 7 -6 -r [2001:db8::1]:0 -g"
    )
    kernel.ipvsadm("-D", "-t", "192.0.2.1:80")
    kernel.advance(1.5)
    kernel.ipvsadm("-D", "-f", "7", "-6")
    return kernel


def test_the_trash_of_a_simulated_kernel_is_listed() -> None:
    """One deleted server a line, the last one first, with what it was a server of; -t chooses a service's."""
    done = deleted().ipvsnl("-Ln", "--trash")
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines()[2:] == [
        "FWM 7                  [2001:db8::1]:0         1     0         0      0     0.00        -   178.50",
        "TCP 192.0.2.1:80       10.0.0.1:8080           1     0         0      0     1.50        -   178.50",
    ]
    assert deleted().ipvsnl("-Ln", "-t", "192.0.2.1:80", "--trash").stdout.count("\n") == 3


def test_the_trash_as_json() -> None:
    """The same as a document: times that are not known are null."""
    one, other = json.loads(deleted().ipvsnl("-L", "--trash", "--json").stdout)["trash"]
    assert one["service"] == {"fwmark": 7, "family": "ipv6"} and other["service"]["address"] == "192.0.2.1"
    assert (other["references"], other["deleted"], other["idle"], other["freed_in"]) == (1, 1.5, None, 178.5)


@pytest.mark.parametrize(
    "args", ["-S --trash", "-Lc --trash", "-L --trash --stats", "-L --timeout --trash", "-C --trash"]
)
def test_the_trash_goes_with_the_plain_listing(args: str) -> None:
    """Beside another command or listing it is a usage error."""
    status, out, err = ours(table(), *args.split())
    assert (status, out) == (2, "") and "--trash goes with -L" in err


def test_a_real_kernel_does_not_tell_its_trash() -> None:
    """One line that says so, and where to get it."""

    class Linux:
        simulated = False

        def proc(self, name: str) -> Iterator[str]:
            raise AssertionError(f"{name}: there is no such file to read")
            yield

    ipvs = object.__new__(IPVS)
    ipvs._conversation = Linux()  # type: ignore[assignment]
    with pytest.raises(LinkError, match="Linux tells nobody of its trash") as told:
        ipvs.trash()
    assert told.value.errno == errno.EOPNOTSUPP


def test_a_line_that_is_no_deleted_server_is_named() -> None:
    """The file's reader refuses what it does not know."""
    with pytest.raises(DecodeError, match="line 2 of ip_vs_trash"):
        list(read_trash(["head\n", "TCP C0000201 0050 rubbish\n"]))
