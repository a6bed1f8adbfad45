"""State machines as tables, and the document drawn from them."""

from __future__ import annotations

import pytest

from ipvssim.path.protocols import INPUT, INPUT_ONLY, OUTPUT, Sctp, Tcp, diagram, sctp, tcp
from tests.ipvssim import worlds as w
from tests.places import ROOT

DOCUMENT = ROOT / "docs" / "inside" / "state-machines.md"


def test_the_document_is_drawn_from_the_tables() -> None:
    """docs/inside/state-machines.md is what ``python -m ipvssim.path.protocols.diagram`` prints."""
    assert DOCUMENT.read_text() == diagram.markdown()


@pytest.mark.parametrize("tables", [Tcp.NORMAL, Tcp.SECURE, Sctp.TABLE], ids=["tcp", "secure tcp", "sctp"])
def test_tables_are_total(tables: tuple[tuple[tuple[int, ...], ...], ...]) -> None:
    """Every direction, event and state has a next state that exists."""
    states = len(tables[0][0])
    assert len(tables) == 3
    for direction in tables:
        for row in direction:
            assert len(row) == states and all(0 <= cell < states for cell in row)


def test_the_first_flag_decides() -> None:
    """The event of a segment is the first that is set of RST, SYN, FIN, ACK; none of them is an event of its own."""
    assert [tcp.EVENT_OF_FLAGS[flags] for flags in (0x04 | 0x02, 0x12, 0x11, 0x10, 0x08, 0x00)] == [3, 0, 1, 2, 4, 4]


def test_abort_closes_from_everywhere_but_where_it_rejects() -> None:
    """SCTP's ABORT leads to CLOSED, save for the two states from which it is a rejection."""
    for direction, rejecting in ((INPUT, {5}), (OUTPUT, {1}), (INPUT_ONLY, {5})):
        row = Sctp.TABLE[direction][sctp.ABORT]
        assert {state for state, following in enumerate(row) if following != sctp.CLOSED} == rejecting


def test_a_reset_by_the_client_does_not_close_a_half_open_connection() -> None:
    """A RST of the client leaves SYN_RECV; a segment without flags closes."""
    world = w.World()
    world.server(world.service())
    world.client(w.tcp(w.SYN))
    world.client(w.tcp(w.RST))
    assert world.states() == ["SYN_RECV"]
    world.client(w.tcp(8))
    assert world.states() == ["CLOSE"]


def test_secure_tcp_waits_for_the_server() -> None:
    """With secure_tcp=3 a client's ACK does not establish what the server has not answered."""
    world = w.World(secure_tcp=3)
    world.server(world.service())
    world.client(w.tcp(w.SYN))
    world.client(w.tcp(w.ACK))
    assert world.states() == ["SYN_RECV"]
    world.from_server(w.tcp(w.ACK, 8080, 1024, source=w.SERVER, target=w.CLIENT))
    assert world.states() == ["ESTABLISHED"]


def test_a_server_that_answers_directly_has_its_own_table() -> None:
    """With direct routing a FIN of the client leads to FIN_WAIT, with translation to CLOSE_WAIT."""
    for method, state in ((w.DIRECT, "FIN_WAIT"), (w.MASQUERADE, "CLOSE_WAIT")):
        world = w.World()
        world.server(world.service(), method=method)
        for flags in (w.SYN, w.ACK, w.FIN | w.ACK):
            world.client(w.tcp(flags))
        assert world.states() == [state]


def test_sctp_is_followed_through_an_association() -> None:
    """INIT, its answers and a SHUTDOWN lead to the states of the kernel."""
    world = w.World()
    world.server(world.service(w.SCTP))
    seen = []
    for kind in (1, 10, 0, 7):
        world.client(w.sctp(w.chunk(kind, bytes(16))))
        seen += world.states()
    assert seen == ["INIT1", "INIT", "INIT", "INIT"]


def test_the_first_chunk_of_a_packet_is_its_event() -> None:
    """A chunk's four bytes have to be there whole; a packet without them has no event. A cookie looks behind itself, to the
    next multiple of four, for an ABORT that is whole, too (set_sctp_state, 6.1.176)."""
    header, machine = bytes(12), Sctp()
    assert [machine.event(header + w.chunk(0)[:size], 0) for size in (0, 3, 4)] == [-1, -1, sctp.DATA]
    for length in range(5):
        cookie, abort = w.chunk(sctp.CID_COOKIE_ECHO, bytes(length)), w.chunk(sctp.CID_ABORT)
        assert machine.event(header + cookie + abort, 0) == sctp.ABORT
        assert machine.event(header + cookie + abort[:3], 0) == sctp.EVENT_OF_CHUNK[sctp.CID_COOKIE_ECHO]


def test_extension_headers_hide_the_flags_from_older_kernels() -> None:
    """6.1.176 reads TCP flags behind IPv6 extension headers at the wrong place (a SYN closes), 6.1.192 at the right one."""
    inner = w.tcp(source=w.CLIENT6, target=w.VIRTUAL6)
    hop = bytes((6, 0, 1, 4, 0, 0, 0, 0))
    data = inner[:4] + (len(inner) - 32).to_bytes(2, "big") + b"\0" + inner[7:40] + hop + inner[40:]
    for release, state in (("6.1.176", "CLOSE"), ("6.1.192", "SYN_RECV")):
        world = w.World(release)
        world.server(world.service(address=w.VIRTUAL6), w.SERVER6)
        world.client(data)
        assert world.states() == [state]
