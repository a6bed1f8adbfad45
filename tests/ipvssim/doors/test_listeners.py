"""Programs on the director's own host: an open port answers a first SYN, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from ipvssim.doors.replay import Replay
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
