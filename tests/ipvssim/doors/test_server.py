"""The simulated kernel behind a Unix socket, and the command that serves it."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import ipvsnl
from ipvsnl.consts import NLMSG_DONE
from ipvssim.command import main
from ipvssim.doors import serve
from ipvssim.doors.server import Server, _socket
from ipvssim.doors.table_file import TableFile
from ipvssim.kernel import Kernel
from tests.ipvssim.requests import DUMP, REQUEST, ask, attribute, mark_key, message, new_service, outcome


@contextmanager
def serving(path: Path, kernel: Kernel | None = None) -> Iterator[Server]:
    server = Server(kernel if kernel is not None else Kernel(), path, now=time.monotonic)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            server.turn(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join()
        server.close()


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client.settimeout(5)
    client.connect(str(path))
    return client


def control(**what: object) -> bytes:
    """A datagram of the second kind."""
    text = json.dumps(what).encode()
    return struct.pack("=IHHII", 16 + len(text), 15, 0, 7, 0) + text


def asked(client: socket.socket, **what: object) -> list[dict[str, Any]]:
    """What is answered to it."""
    client.send(control(**what))
    answers: list[dict[str, Any]] = []
    while not answers or answers[-1].get("more"):
        data = client.recv(1 << 18)
        assert struct.unpack_from("=IHHII", data)[1:4] == (15, 0, 7)
        answers.append(json.loads(data[16:]))
    return answers


def received(client: socket.socket, count: int) -> list[bytes]:
    return [client.recv(65536) for _ in range(count)]


def test_the_bytes_are_those_of_a_netlink_socket(tmp_path: Path) -> None:
    """A conversation over the socket equals the same one in the process, datagram by datagram."""
    conversation = [new_service(mark_key(mark)) for mark in range(1, 150)]
    conversation += [
        message(4, b"", REQUEST | DUMP),
        message(99),
        message(3, attribute(2, b"IPVS\0"), REQUEST, kind=16),
    ]
    twin = Kernel().socket()
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        client.send(control(offers=32768))
        for data in conversation:
            twin.send(data)
            expected = []
            while True:
                try:
                    expected.append(twin.recv(32768))
                except BlockingIOError:
                    break
            client.send(data)
            assert received(client, len(expected)) == expected


def test_clients_share_the_table_and_not_the_socket(tmp_path: Path) -> None:
    """What one makes the other sees; ports differ; one that goes away disturbs nobody."""
    with serving(tmp_path / "s") as server, connected(tmp_path / "s") as one:
        with connected(tmp_path / "s") as other:
            other.send(new_service(mark_key(1)))
            first = other.recv(65536)
        one.send(new_service(mark_key(1)))
        second = one.recv(65536)
        assert first[12:16] != second[12:16] and second[16:20] != bytes(4)
        assert len(server.kernel.table.by_mark) == 1


def test_an_overrun_is_told(tmp_path: Path) -> None:
    """Where netlink's recv fails with ENOBUFS, an NLMSG_OVERRUN message comes before what was kept."""
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        client.send(b"".join(new_service(mark_key(mark)) for mark in range(1, 401)))
        first, second = received(client, 2)
        assert first[4] == 4 and len(first) == 16 and second[4] == 2


def test_a_slow_reader_gets_all_of_a_dump(tmp_path: Path) -> None:
    """A dump larger than the socket's queue goes on as it is read, and others are served meanwhile."""
    with serving(tmp_path / "s") as server, connected(tmp_path / "s") as slow:
        local = server.kernel.socket(sndbuf=1 << 24)
        for mark in range(1, 3001):
            local.send(new_service(mark_key(mark), flags=REQUEST))
        slow.send(message(4, b"", REQUEST | DUMP))
        with connected(tmp_path / "s") as quick:
            quick.send(message(16))
            assert quick.recv(65536)[4] == 2
        total = 0
        while (data := slow.recv(65536))[4] != 3:
            total += len(data)
        assert total == 3000 * 292


def test_a_dead_servers_file_is_replaced_and_a_live_ones_is_not(tmp_path: Path) -> None:
    """Only a socket that nobody listens on makes place."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    with serving(path), pytest.raises(OSError, match="in use"):
        Server(Kernel(), path, now=time.monotonic)
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(OSError, match="in use"):
        Server(Kernel(), path, now=time.monotonic)
    assert path.read_text() == "a file"


def test_the_clock_follows(tmp_path: Path) -> None:
    """The simulated clock stands where the given one does."""
    moment = [100.0]
    server = Server(Kernel(), tmp_path / "s", now=lambda: moment[0])
    try:
        moment[0] += 7.5
        server.turn(0)
        assert server.kernel.clock.now == 7_500_000
    finally:
        server.close()


def test_serve_keeps_its_table_and_ends_cleanly(tmp_path: Path) -> None:
    """SIGTERM ends it with status 0, the table written and the socket's file gone."""
    path, table = tmp_path / "s", tmp_path / "table"
    command = [sys.executable, "-m", "ipvssim", "serve", str(path), "--table", str(table)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        for _ in range(200):
            if path.exists():
                break
            time.sleep(0.05)
        with connected(path) as client:
            client.send(new_service(mark_key(3)))
            assert client.recv(65536)[16:20] == bytes(4)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
    assert not path.exists() and list(TableFile(table).load().table.by_mark) == [(2, 3)]


def test_the_commands_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command 2, with -h 0, and a table that cannot be read 1."""
    assert main([]) == 2 and main(["-h"]) == 0 and main(["nope"]) == 2
    assert "serve" in capsys.readouterr().out
    assert main(["serve", "/nowhere/at/all/s"]) == 1


def test_peers_without_the_right_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is neither root nor the server's user gets EPERM, as an unprivileged netlink socket does."""
    twin = Kernel().socket(privilege="none", ext_ack=False, cap_ack=False)
    assert outcome(twin, message(15)) == "EPERM"
    assert ask(twin, message(3, attribute(2, b"IPVS\0"), REQUEST, kind=16))


def numbered(data: bytes, sequence: int) -> bytes:
    return data[:8] + sequence.to_bytes(4, "little") + data[12:]


def refusal(answer: bytes) -> tuple[int, int, int]:
    """Type, sequence number, and error."""
    return answer[4], int.from_bytes(answer[8:12], "little"), int.from_bytes(answer[16:20], "little", signed=True)


def test_a_datagram_that_is_too_long_is_refused_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is executed, and EMSGSIZE is told for its first and last request."""
    monkeypatch.setattr("ipvssim.doors.server.LARGEST", 1 << 16)  # only root can send a megabyte at once
    one = new_service(mark_key(1))
    many = numbered(one, 41) + numbered(one, 42) * ((1 << 16) // len(one))
    with serving(tmp_path / "s") as server, connected(tmp_path / "s") as client:
        client.send(many)
        answer = client.recv(65536)
        assert refusal(answer) == (2, 41, -errno.EMSGSIZE)
        assert refusal(answer[36:]) == (2, 42, -errno.EMSGSIZE)
        assert not server.kernel.table.by_mark
        client.send(numbered(one, 43))
        assert refusal(client.recv(65536)) == (2, 43, 0)


def test_an_empty_datagram_is_an_error_and_no_end(tmp_path: Path) -> None:
    """ENODATA, as a netlink socket's send has it; the connection goes on."""
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        client.send(b"")
        assert refusal(client.recv(65536)) == (2, 0, -errno.ENODATA)
        client.send(numbered(new_service(mark_key(1)), 5))
        assert refusal(client.recv(65536)) == (2, 5, 0)


def test_an_overrun_is_about_the_last_request(tmp_path: Path) -> None:
    """Its sequence number is one that the client waits for, its port is the client's."""
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        client.send(b"".join(numbered(new_service(mark_key(mark)), mark) for mark in range(1, 401)))
        lost, kept = received(client, 2)
        assert (lost[4], int.from_bytes(lost[8:12], "little")) == (4, 400) and lost[12:16] == kept[12:16]


def test_only_its_own_socket_is_taken_away(tmp_path: Path) -> None:
    """A server whose file was replaced by another's leaves that where it is."""
    path = tmp_path / "s"
    first = Server(Kernel(), path, now=time.monotonic)
    path.unlink()
    second = Server(Kernel(), path, now=time.monotonic)
    first.close()
    assert path.is_socket()
    second.close()
    assert not path.exists()


@pytest.mark.usefixtures("watchdog")
def test_a_day_of_idleness_costs_the_next_client_nothing(tmp_path: Path) -> None:
    """Fifty services, nobody asks for a year: the first answer comes at once."""
    moment = [0.0]
    rules = "\n".join(f"-A -t 192.0.2.{number}:80 -s lblc" for number in range(1, 51))
    server = Server(Kernel(rules), tmp_path / "s", now=lambda: moment[0])
    try:
        with connected(tmp_path / "s") as client:
            server.turn(1)
            client.send(new_service(mark_key(1)))
            moment[0] += 366 * 86400
            server.turn(1)
            assert refusal(client.recv(65536))[2] == 0
    finally:
        server.close()


@pytest.mark.usefixtures("watchdog")
def test_peers_that_do_not_read_block_nobody(tmp_path: Path) -> None:
    """Twenty peers that ask and never read: another is answered, and asking goes on once they read."""
    with serving(tmp_path / "s") as server:
        local = server.kernel.socket(sndbuf=1 << 24)
        for mark in range(1, 2001):
            local.send(new_service(mark_key(mark), flags=REQUEST))
        deaf = [connected(tmp_path / "s") for _ in range(20)]
        for one in deaf:
            one.setblocking(False)
            for _ in range(50):
                try:
                    one.send(message(4, b"", REQUEST | DUMP))
                except BlockingIOError:
                    break
        with connected(tmp_path / "s") as quick:
            quick.send(message(16))
            assert quick.recv(65536)[4] == 2
        for one in deaf:
            one.close()


def test_when_descriptors_run_out_connections_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free descriptor nothing spins: new connections are looked at again when one is closed."""
    server = Server(Kernel(), tmp_path / "s", now=time.monotonic)
    try:
        one = connected(tmp_path / "s")
        server.turn(1)

        class Full:
            def __getattr__(self, name: str) -> object:
                return getattr(listener, name)

            def accept(self) -> object:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        other, listener = connected(tmp_path / "s"), server._listener
        monkeypatch.setattr(server, "_listener", Full())
        server.turn(1)
        began = time.perf_counter()
        server.turn(0.3)
        assert time.perf_counter() - began > 0.25
        monkeypatch.setattr(server, "_listener", listener)
        one.close()
        server.turn(1)
        server.turn(1)
        other.send(new_service(mark_key(1)))
        server.turn(1)
        assert refusal(other.recv(65536))[2] == 0
        other.close()
    finally:
        server.close()


def test_a_scheduler_file_that_fails_ends_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client is told that there is no such scheduler, the server's standard error why."""
    bad = tmp_path / "bad.py"
    bad.write_text("def (")
    monkeypatch.setenv("IPVSSIM_SCHEDULERS", str(bad))
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        client.send(new_service(mark_key(1), b"mine"))
        assert refusal(client.recv(65536))[2] == -errno.ENOENT
        client.send(new_service(mark_key(1)))
        assert refusal(client.recv(65536))[2] == 0
    assert f"{bad}: SyntaxError" in capfd.readouterr().err


def test_two_signals_at_once_lose_nothing(tmp_path: Path) -> None:
    """SIGINT and SIGTERM that come at the same time end the server once: what it acknowledged is in its table."""
    path, table = tmp_path / "s", tmp_path / "table"
    command = [sys.executable, "-m", "ipvssim", "serve", str(path), "--table", str(table)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        with connected(path) as client:
            client.send(new_service(mark_key(3)))
            assert client.recv(65536)[16:20] == bytes(4)
        for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):
            server.send_signal(number)
        _, said = server.communicate(timeout=30)
    assert (server.returncode, said) == (0, "")
    assert list(TableFile(table).load().table.by_mark) == [(2, 3)]


def test_a_signal_whose_exception_is_lost_comes_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the handler raises in a ``__del__`` goes nowhere: the signal comes again, and ends the server then."""

    class Dying:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        serve._leave_once()
        with pytest.raises(serve._Leave):
            Dying()
            time.sleep(30)
        signal.raise_signal(signal.SIGTERM)  # the first counts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_server_that_does_not_begin_leaves_signals_as_they_were(tmp_path: Path) -> None:
    """Its handlers go with it: whatever the process does next hears of SIGTERM and SIGINT as before."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.unraisablehook
    assert serve.main([str(tmp_path / "nowhere" / "socket")]) != 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def test_whoever_sees_the_file_can_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket's name appears when the server listens; before, a second server would take it for a dead one's."""
    seen = []
    real = os.link

    def link(source: Path, target: Path) -> None:
        with _socket() as early:
            seen.append((target.exists(), early.connect_ex(os.fspath(source))))
        real(source, target)

    monkeypatch.setattr(os, "link", link)
    server = Server(Kernel(), tmp_path / "s", now=lambda: 0.0)
    try:
        assert seen == [(False, 0)] and [one.name for one in tmp_path.iterdir()] == ["s"]
        with pytest.raises(OSError, match="in use"):
            Server(Kernel(), tmp_path / "s", now=lambda: 0.0)
        assert [one.name for one in tmp_path.iterdir()] == ["s"]
    finally:
        server.close()


@pytest.mark.parametrize("offered", [0, 4096, 8192, 32768])
def test_dumps_fit_what_their_reader_offers(tmp_path: Path, offered: int) -> None:
    """A hundred services, read with any buffer that a netlink socket can be read with: every one comes whole. Who does not
    tell gets datagrams as short as Linux makes its first, and who tells gets the same as netlink's reader, byte by byte."""
    kernel = Kernel()
    twin = kernel.socket(port=1)
    for mark in range(1, 101):
        twin.send(new_service(mark_key(mark)))
        twin.recv(65536)
    with serving(tmp_path / "s", kernel), connected(tmp_path / "s") as client:
        if offered:
            client.send(control(offers=offered))
        request, twin = message(4, b"", REQUEST | DUMP), kernel.socket(port=1)
        client.send(request)
        twin.send(request)
        kind = 0
        while kind != NLMSG_DONE:
            data, _, flags, _ = client.recvmsg(offered or 3776)
            assert not flags & socket.MSG_TRUNC
            assert data == twin.recv(offered or 3776)
            (kind,) = struct.unpack_from("=H", data, 4)


def test_a_sockets_options(tmp_path: Path) -> None:
    """A port of its own choice, which nobody else may have then; whether errors are capped; and names that are none."""
    with serving(tmp_path / "s"), connected(tmp_path / "s") as one, connected(tmp_path / "s") as other:
        assert asked(one, options={"port": 4711, "cap_ack": False}) == [{"port": 4711}]
        assert asked(other, options={"port": 4711})[0]["error"] == errno.EADDRINUSE
        assert asked(other, options={"colour": 1})[0]["error"] == errno.ENOPROTOOPT
        refused = message(1, attribute(1, mark_key(7)))
        answers = []
        for client in (one, other):
            client.send(refused)
            answers.append(client.recv(65536))
        assert [len(answer) for answer in answers] == [36 + len(refused) - 16, 36]
        assert struct.unpack_from("=I", answers[0], 12)[0] == 4711


def test_packets_come_in(tmp_path: Path) -> None:
    """A packet that a peer gives opens a connection; the peer hears what left, and everybody sees it in the files."""
    from scapy.layers.inet import IP, TCP

    kernel = Kernel("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m")
    packet = bytes(IP(src="198.51.100.7", dst="192.0.2.1") / TCP(sport=1234, dport=80, flags="S"))
    with serving(tmp_path / "s", kernel), connected(tmp_path / "s") as client:
        (answer,) = asked(client, receive=packet.hex())
        assert (answer["verdict"], answer["opened"], len(answer["out"])) == ("forward", True, 1)
        lines = [line for answer in asked(client, proc="ip_vs_conn") for line in answer["lines"]]
        assert len(lines) == 2
        with ipvsnl.open(f"unix:{tmp_path / 's'}") as ipvs:
            assert [one.state for one in ipvs.connections()] == ["SYN_RECV"]
        for wrong, number in (({"receive": "zz"}, errno.EINVAL), ({"receive": packet.hex(), "on": "x"}, errno.ENODEV)):
            assert asked(client, **wrong)[0]["error"] == number
        assert asked(client, proc="nosuch")[0]["error"] == errno.ENOENT
        assert asked(client, colour=1)[0]["error"] == errno.EOPNOTSUPP


def test_long_files_come_in_pieces(tmp_path: Path) -> None:
    """A connection table that no datagram holds arrives whole, in order."""
    from scapy.layers.inet import IP, UDP

    kernel = Kernel("-A -u 192.0.2.1:80 -s rr\n-a -u 192.0.2.1:80 -r 10.0.0.1:80 -m")
    for port in range(1, 3001):
        kernel.receive(bytes(IP(src="198.51.100.7", dst="192.0.2.1") / UDP(sport=port, dport=80)))
    with serving(tmp_path / "s", kernel), connected(tmp_path / "s") as client:
        answers = asked(client, proc="ip_vs_conn")
        assert len(answers) > 1
        assert [line for answer in answers for line in answer["lines"]] == list(kernel.proc("ip_vs_conn"))


def test_packets_of_strangers_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not change the table may not send packets through it."""
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    monkeypatch.setattr("ipvssim.doors.server._CREDENTIALS", _Strangers())
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        assert asked(client, receive="00")[0]["error"] == errno.EPERM


class _Strangers:
    size = 12

    def unpack(self, _: bytes) -> tuple[int, int, int]:
        return 1, 54321, 1


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"7", b"\xff", b"[" * 5000, b'{"offers": "x"}', b'{"offers": -1}', b'{"offers": true}',
        b'{"proc": 7}', b'{"options": 7}', b'{"options": {"port": 0}}', b'{"options": {"rcvbuf": 1e9}}', b'{"receive": 7}',
        b'{"receive": ""}', b'{"receive": "45", "on": 7}', b'{"receive": "45", "on": []}',
        b'{"receive": "45", "mark": "x"}', b'{"receive": "45", "mark": -1}',
    ],
    ids=lambda text: repr(text[:30]),
)  # fmt: skip
def test_whatever_is_asked_for_is_answered(tmp_path: Path, text: bytes) -> None:
    """What is no JSON, no object, or of another type is an error, or a packet that is dropped; the server serves on."""
    with serving(tmp_path / "s"), connected(tmp_path / "s") as client:
        client.send(struct.pack("=IHHII", 16 + len(text), 15, 0, 7, 0) + text)
        answer = json.loads(client.recv(1 << 16)[16:])
        assert answer.get("error", 0) > 0 or answer["verdict"] == "drop"
        assert "lines" in asked(client, proc="ip_vs")[0]
