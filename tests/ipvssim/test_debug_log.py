"""The kernel's log and its trash, as people ask for them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ipvsnl import Service
from ipvsnl.errors import LinkError
from ipvssim import Kernel
from ipvssim.doors import debug_option
from ipvssim.doors.table_file import TableFile, opened
from ipvssim.net.networks import default_network
from tests.ipvssim import worlds as w

RULES = "-A -t 192.0.2.1:80 -s lblc\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m"
WEB = ("-t", "192.0.2.1:80")


def syn(port: int = 1024) -> bytes:
    return w.tcp(w.SYN, port, target=bytes((192, 0, 2, 1)), source=bytes((198, 51, 100, 7)))


# --- the log ---


def test_without_a_level_there_is_no_log() -> None:
    """A kernel that nobody asked for a log has none, and says how to get one."""
    kernel = Kernel(RULES)
    with pytest.raises(RuntimeError, match=r"Kernel\(debug_level=N\)"):
        _ = kernel.log
    with pytest.raises(RuntimeError):
        kernel.debug_level = 3
    assert kernel.debug_level == 0 and kernel.director.inbound.log is None


def test_the_level_chooses_the_lines() -> None:
    """Lines of a level come from that debug level on, and errors at any."""
    for level in range(13):
        kernel = Kernel(RULES, debug_level=level)
        kernel.receive(syn())
        kernel.ipvsadm("-e", *WEB, "-r", "10.0.0.1:80", "-m", "-x", "1", "-y", "2")
        kernel.ipvsadm("-C")
        assert {line.level for line in kernel.log} == {one for one in (0, 2, 3, 6, 7, 8, 9, 10, 11) if one <= level}
        assert kernel.sysctl["debug_level"] == str(level)


def test_the_level_may_change() -> None:
    """`debug_level` is the kernel's own: it is set from outside, and the namespace's tunable refuses writes (EACCES)."""
    kernel = Kernel(RULES, debug_level=0)
    kernel.receive(syn())
    assert kernel.log == []
    kernel.debug_level = 9
    kernel.receive(syn())
    assert str(kernel.log[0]).endswith("IPVS: lookup/out TCP 198.51.100.7:1024->192.0.2.1:80 not hit")
    with pytest.raises(PermissionError):
        kernel.sysctl["debug_level"] = 3


def test_commands_write_it_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What a command tells goes on as it happens, and the list stays empty."""
    kernel = Kernel(RULES, debug_level=3)
    debug_option.tell(kernel)
    kernel.ipvsadm("-d", *WEB, "-r", "10.0.0.1:80")
    assert capsys.readouterr().err == (
        "[    0.000000] IPVS: Enter: ip_vs_del_dest, net/netfilter/ipvs/ip_vs_ctl.c line 1222\n"
        "[    0.000000] IPVS: Moving dest 10.0.0.1:80 into trash, dest->refcnt=1\n"
        "[    0.000000] IPVS: Leave: ip_vs_del_dest, net/netfilter/ipvs/ip_vs_ctl.c line 1244\n"
    )
    assert kernel.log == []


# --- the trash ---


def test_the_count_is_the_kernels() -> None:
    """The trash, each connection, each template and each cache entry count one; the log's number is the same."""
    kernel = Kernel(RULES, debug_level=3)
    for port in (1024, 1025):
        kernel.receive(syn(port))
    kernel.ipvsadm("-d", *WEB, "-r", "10.0.0.2:80")
    (server,) = kernel.trash()
    assert (server.references, server.connections, server.templates, server.caches) == (4, 2, 0, 1)
    assert server.freed_in is None and server.service == Service("tcp", "192.0.2.1", 80)
    assert kernel.log[-2].text.endswith("dest->refcnt=4")


@pytest.mark.parametrize("pauses", [(0, 0, 0), (30, 59, 60), (61, 7, 121), (59.99, 0.01, 119.98), (100, 75, 3)])
def test_a_server_is_freed_when_it_is_said_to_be(pauses: tuple[float, ...]) -> None:
    """Whatever else lies there, and whenever it is asked: `freed_in` comes true to the jiffy."""
    kernel = Kernel(
        "-A -t 192.0.2.1:80 -s rr\n" + "".join(f"-a -t 192.0.2.1:80 -r 10.0.0.{n}:80 -m\n" for n in (1, 2, 3))
    )
    for number, pause in enumerate(pauses, start=1):
        kernel.ipvsadm("-d", *WEB, "-r", f"10.0.0.{number}:80")
        kernel.advance(pause)
    while kernel.trash():
        server = kernel.trash()[-1]
        assert server.freed_in is not None
        kernel.advance(server.freed_in - 0.01)
        assert server.address in [one.address for one in kernel.trash()]
        kernel.advance(0.01)
        assert server.address not in [one.address for one in kernel.trash()]


def test_the_last_deleted_comes_first() -> None:
    """The kernel puts what is deleted at the head of its list, service by service or server by server."""
    kernel = Kernel(RULES)
    kernel.ipvsadm("-d", *WEB, "-r", "10.0.0.2:80")
    kernel.ipvsadm("-D", *WEB)
    assert [one.address for one in kernel.trash()] == ["10.0.0.1", "10.0.0.2"]


# --- the trash in a table file ---


def command(path: Path, *arguments: str) -> None:
    with opened(str(path)) as endpoint:
        assert not endpoint.kernel.ipvsadm(*arguments).status
        endpoint._writing = True


def saved(path: Path, *rules: str) -> None:
    kernel = Kernel("\n".join(rules), network=default_network())
    kernel.ipvsadm("-d", *WEB, "-r", "10.0.0.1:80")
    kernel.ipvsadm("-D", "-f", "7", "-6")
    TableFile(path).save(kernel.namespace)


def test_a_table_file_keeps_the_trash(tmp_path: Path) -> None:
    """Order, services, the time that passed meanwhile: as if the kernel had run on; then it is empty, and so is the file."""
    path = tmp_path / "table"
    saved(
        path,
        "-A -t 192.0.2.1:80",
        "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m",
        "-A -f 7 -6",
        "-a -f 7 -6 -r [2001:db8::1]:80 -g",
    )
    os.utime(path, (time.time(), time.time() - 100))
    first, second = TableFile(path).load().trash()
    assert (str(first.service), first.address, str(second.service)) == ("FWM 7 IPv6", "2001:db8::1", "TCP 192.0.2.1:80")
    assert 99 < second.deleted < 130 and second.idle is not None and second.freed_in is not None
    os.utime(path, (time.time(), time.time() - 200))
    kernel = TableFile(path).load()
    assert kernel.trash() == []
    TableFile(path).save(kernel.namespace)
    assert b"trash" not in path.read_bytes()


def test_a_server_comes_back_from_the_file(tmp_path: Path) -> None:
    """Added again it is taken from the trash, as the kernel's log says; one of a service made anew loses its counters."""
    path = tmp_path / "table"
    saved(path, "-A -t 192.0.2.1:80", "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m", "-A -f 7 -6")
    kernel = TableFile(path).load(debug_level=3)
    kernel.ipvsadm("-a", *WEB, "-r", "10.0.0.1:80", "-m")
    assert "Get destination 10.0.0.1:80 from trash" in kernel.log[-2].text and kernel.trash() == []


def test_a_debug_level_is_not_saved(tmp_path: Path) -> None:
    """The level belongs to the kernel that runs, not to the table: a saved one can be read again."""
    path = tmp_path / "table"
    TableFile(path).save(Kernel(RULES, debug_level=12).namespace)
    assert TableFile(path).load().debug_level == 0


@pytest.mark.parametrize(
    "rows",
    ['"x"', "[1,2]", "[-1,[]]", '[0,[[2,0,6,"192.0.2.1",80,true,-1,null,[]]]]', '[0,[[3,0,6,"",80,true,0,null,[]]]]',
     '[0,[[2,0,6,"x",80,true,0,null,["10.0.0.1",80,0,1,0,0,0,0,0,1,null]]]]'],
)  # fmt: skip
def test_a_damaged_trash_is_refused(tmp_path: Path, rows: str) -> None:
    """As everything else in a table file: the message says that it is damaged, and the file stays."""
    from hashlib import sha256

    path = tmp_path / "table"
    TableFile(path).save(Kernel(RULES).namespace)
    head, _, body = path.read_bytes().partition(b"\n")
    body = body.replace(b'"services":', b'"trash":' + rows.encode() + b',"services":', 1)
    path.write_bytes(head.split(b"sha256:")[0] + b"sha256:" + sha256(body).hexdigest().encode() + b"\n" + body)
    with pytest.raises(LinkError, match="damaged"):
        TableFile(path).load()
