"""Programs on the director's own host: what an open port answers, in traces and by the front door."""

from __future__ import annotations

from struct import pack, unpack_from
from typing import Any

import pytest

from ipvssim import Kernel
from ipvssim.doors.replay import Replay
from ipvssim.net.checksums import transport
from tests.ipvssim import worlds as w

CLIENT, VIRTUAL = bytes((192, 0, 2, 9)), bytes((203, 0, 113, 1))


def replayed(method: str, port: int, *flags: int, listening: list[list[Any]] | None = None, damage: int = 0) -> Replay:
    """A director with one service whose only server is itself, after packets of one client with those flags."""
    replay = Replay({"trace": 1, "listening": [["tcp", port]] if listening is None else listening})
    service = ["-t", "203.0.113.1:80"]
    for words in (["-A", *service, "-s", "rr"], ["-a", *service, "-r", f"10.0.0.1:{port}", method]):
        assert replay.answer({"do": "ipvsadm", "args": words})["rc"] == 0
    for flag in flags:
        data = w.tcp(flag, 4000, source=CLIENT, target=VIRTUAL, damage=damage)
        assert replay.answer({"do": "packet", "on": "client", "hex": data.hex()})["local"]
    return replay


def seen(replay: Replay) -> tuple[str, list[str]]:
    """The connection's state, and the server's counters: connections, packets in and out, bytes in and out."""
    (row,) = replay.answer({"do": "conns"})["conns"]
    return row["state"], replay.answer({"do": "stats"})["stdout"].splitlines()[-1].split()[2:]


@pytest.mark.parametrize(("method", "port"), [("-m", 8080), ("-g", 80), ("-i", 80)])
def test_an_open_port_answers_a_first_syn(method: str, port: int) -> None:
    """The SYN|ACK of 44 bytes counts as the server's, whichever way the SYN came to it."""
    assert seen(replayed(method, port, w.SYN)) == ("SYN_RECV", ["1", "1", "1", "40", "44"])


def test_a_closed_port_refuses() -> None:
    """Nobody listens: the reset ends the connection."""
    assert seen(replayed("-m", 8080, w.SYN, listening=[["udp", 8080]])) == ("CLOSE", ["1", "1", "1", "40", "40"])


def test_an_open_port_says_nothing_to_a_reset_or_a_damaged_segment() -> None:
    """A reset is taken in silence (it ends no half-open connection), a segment with a wrong checksum was never there."""
    assert seen(replayed("-m", 8080, w.SYN, w.RST)) == ("SYN_RECV", ["1", "2", "1", "80", "44"])
    assert seen(replayed("-m", 8080, w.SYN, damage=1))[1][2] == "0"


# --- by the front door ---

HERE = bytes((192, 0, 0, 9))
RULES = "-A -t 203.0.113.1:80 -s rr\n-a -t 203.0.113.1:80 -r 192.0.0.9:8080 -m\n" \
        "-A -u 203.0.113.1:7 -s rr\n-a -u 203.0.113.1:7 -r 192.0.0.9:7007 -m"  # fmt: skip


def segment(flags: int, sequence: int, acknowledged: int, data: bytes = b"") -> bytes:
    """A client's segment to the service of TCP."""
    body = pack("!HHIIBBHHH", 4000, 80, sequence, acknowledged, 0x50, flags, 8192, 0, 0) + data
    check = transport(CLIENT, VIRTUAL, w.TCP, body)
    return w.ip(CLIENT, VIRTUAL, w.TCP, body[:16] + check.to_bytes(2, "big") + body[18:])


def said(kernel: Kernel, data: bytes) -> tuple[Any, ...]:
    """Flags, sequence number, acknowledgement of what the client gets for a segment; nothing where it gets nothing."""
    answers = kernel.receive(data).answers
    if not answers:
        return ()
    ((device, packet),) = answers
    assert (device, packet[12:20]) == ("client", VIRTUAL + CLIENT), "it leaves as the service's"
    ports, sequence, acknowledged, _, flags = unpack_from("!IIIBB", packet, 20)
    assert ports == 80 << 16 | 4000
    return flags, sequence, acknowledged


def test_a_conversation_with_a_program_of_the_host() -> None:
    """A local server takes a connection, acknowledges data and closes with its client; the states follow."""
    kernel = Kernel(RULES)
    kernel.listen("tcp", 8080)
    states = []
    dialogue = [
        (segment(w.SYN, 100, 0), (w.SYN | w.ACK, 1, 101)),
        (segment(w.ACK, 101, 2), ()),
        (segment(w.ACK, 101, 2, b"hello"), (w.ACK, 2, 106)),
        (segment(w.ACK | w.FIN, 106, 2), (w.ACK | w.FIN, 2, 107)),
        (segment(w.ACK, 107, 3), ()),
    ]
    for data, expected in dialogue:
        assert said(kernel, data) == expected
        states += [one.state for one in kernel.connections()]
    assert states == ["SYN_RECV", "ESTABLISHED", "ESTABLISHED", "TIME_WAIT", "TIME_WAIT"]
    kernel.advance(4)
    (server,) = next(one.destinations for one in kernel.snapshot() if one.service.protocol == "tcp")
    assert (server.statistics.inpkts, server.statistics.outpkts) == (5, 3)


def test_an_echo_of_udp() -> None:
    """A program that echoes sends the data back as the service; one that does not reads in silence."""
    for echo in (True, False):
        kernel = Kernel(RULES)
        kernel.listen("udp", 7007, echo=echo)
        answers = kernel.receive(w.udp(4000, 7, b"again", source=CLIENT, target=VIRTUAL)).answers
        assert [packet[28:] for _, packet in answers] == [b"again"] * echo
        assert all(unpack_from("!HH", packet, 20) == (7, 4000) for _, packet in answers)


@pytest.mark.parametrize(
    ("protocol", "port", "echo"), [("sctp", 80, False), ("tcp", 0, False), ("tcp", 65536, False), ("tcp", 7, True)]
)
def test_what_nobody_can_listen_on_is_refused(protocol: str, port: int, echo: bool) -> None:
    """The refusal names the word."""
    with pytest.raises(ValueError, match=protocol if echo or protocol == "sctp" else str(port)):
        Kernel().listen(protocol, port, echo=echo)
