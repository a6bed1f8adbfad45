"""ip_vs_ftp: what it makes of a session's packets, and of the data connections."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim import Kernel
from tests.ipvssim.path.helpers.sessions import Ftp
from tests.kernel.traces import packets as p

PASSIVE = b"227 Entering Passive Mode (10,9,8,7,19,136).\r\n"


def test_nothing_without_the_module() -> None:
    """A kernel without ip_vs_ftp leaves an answer as it is, and expects no data connection."""
    ftp = Ftp(modules=()).open()
    ftp.up(payload=b"PASV\r\n")
    seen = ftp.down(payload=PASSIVE)
    assert seen is not None and seen.payload == PASSIVE
    assert list(ftp.states()) == [(4000, 21)]


def test_passive_answers_name_the_virtual_address() -> None:
    """227 tells the virtual address and the server's port, with right lengths and checksum; one data connection waits."""
    ftp = Ftp().open()
    ftp.up(payload=b"PASV\r\n")
    seen = ftp.down(payload=PASSIVE)
    assert seen is not None and seen.sums
    assert seen.payload == b"227 Entering Passive Mode (192,0,2,1,19,136).\r\n"
    assert ftp.states() == {(4000, 21): "ESTABLISHED", (0, 5000): "LISTEN"}


def test_both_sides_keep_their_sequence_numbers() -> None:
    """Behind a rewritten answer the server's numbers are moved for the client, and the client's acknowledgements back."""
    ftp = Ftp().open()
    ftp.up(payload=b"PASV\r\n")
    ftp.down(payload=PASSIVE)
    acknowledged = ftp.up(p.ACK)
    assert acknowledged is not None and acknowledged.acknowledged == ftp.server_next and acknowledged.sums
    seen = ftp.down(payload=b"200 ok\r\n")
    assert seen is not None and seen.sums
    assert seen.sequence == ftp.server_next - 8 + len(b"192,0,2,1") - len(b"10,9,8,7")


def test_a_passive_data_connection_goes_to_that_server() -> None:
    """The client's SYN to the port that it was told, from any port, reaches the server's; only one waits there."""
    ftp = Ftp().open()
    ftp.up(payload=b"PASV\r\n")
    ftp.down(payload=PASSIVE)
    seen = ftp.sent(ftp.client, ftp.virtual, (4711, 5000), p.SYN, b"", 1, 0)
    assert seen is not None and (seen.target, seen.ports) == (ftp.server, (4711, 5000))
    assert ftp.states()[4711, 5000] == "SYN_RECV"
    assert ftp.sent(ftp.client, ftp.virtual, (4712, 5000), p.SYN, b"", 1, 0) is None  # the second finds nobody waiting


def test_an_active_data_connection_comes_from_the_virtual_address() -> None:
    """After PORT the server's connection from its port 20 leaves as the virtual address's port 20."""
    ftp = Ftp().open()
    ftp.up(payload=b"PORT 198,51,100,7,18,103\r\n")
    assert ftp.states()[4711, 20] == "LISTEN"
    seen = ftp.sent(ftp.server, ftp.client, (20, 4711), p.SYN, b"", 1, 0)
    assert seen is not None and (seen.source, seen.ports) == (ftp.virtual, (20, 4711))


@pytest.mark.parametrize("six", [False, True])
def test_extended_commands(six: bool) -> None:
    """EPSV's answer keeps nothing but the port; EPRT opens the way for the server. Over both families."""
    ftp = Ftp(six=six).open()
    ftp.up(payload=b"EPSV\r\n")
    said = b"|2|fd00::7|5000|" if six else b"|1|10.9.8.7|5000|"
    seen = ftp.down(payload=b"229 Extended (%s)\r\n" % said)
    assert seen is not None and seen.sums and seen.payload == b"229 Extended (|||5000|)\r\n"
    ftp.up(payload=b"EPRT |2|2001:db8:c::7|4711|\r\n" if six else b"EPRT !1!198.51.100.7!4711!\r\n")
    assert ftp.states()[4711, 20] == "LISTEN"


def test_ipv6_sessions_fail_before_6_1_183() -> None:
    """6.1.176 takes conntrack's sum over an IPv6 packet for the segment's: what a client sends to a helped port is dropped.
    6.1.192 does not."""
    for release, passes in (("6.1.176", False), ("6.1.192", True)):
        ftp = Ftp(six=True, release=release)
        ftp.kernel.sysctl["net.netfilter.nf_conntrack_checksum"] = 1
        assert (ftp.up(p.SYN) is not None) is passes


def test_a_session_outlives_its_data_connections() -> None:
    """The timer of a session that still controls a data connection starts again, with a minute."""
    ftp = Ftp().open()
    ftp.kernel.ipvsadm("--set", "1", "1", "0")
    ftp.up(payload=b"PASV\r\n")
    ftp.down(payload=PASSIVE)
    ftp.kernel.advance(30)
    assert set(ftp.states()) == {(4000, 21), (0, 5000)}


def test_an_answer_without_an_entry_is_lost() -> None:
    """Where nothing asked for connection tracking (a helper's port other than 21) 227 can't be rewritten, and is dropped;
    sent again it passes, as it is."""
    kernel = Kernel(
        "-A -t 192.0.2.1:2121 -s rr\n-a -t 192.0.2.1:2121 -r 10.9.8.7:21 -m", modules=["ip_vs_ftp ports=2121"]
    )
    ftp = Ftp()
    ftp.kernel = kernel
    ftp.up(p.SYN, to=2121)
    ftp.down(p.SYN | p.ACK)
    assert ftp.up(p.ACK, to=2121) is not None
    ftp.up(payload=b"PASV\r\n", to=2121)
    assert ftp.down(payload=PASSIVE) is None
    seen = ftp.down(payload=PASSIVE, at=ftp.server_next - len(PASSIVE))
    assert seen is not None and seen.payload == PASSIVE


def test_a_closed_session_port_has_to_be_opened_twice() -> None:
    """A SYN from the port of a connection in CLOSE belongs to its conntrack entry still: it is lost, the next one opens."""
    ftp = Ftp(sysctl={"conn_reuse_mode": 1}).open()
    ftp.up(payload=b"USER x\r\n")
    ftp.down(p.RST | p.ACK)
    assert ftp.states() == {(4000, 21): "CLOSE"}
    assert ftp.up(p.SYN, at=90000) is None
    assert ftp.up(p.SYN, at=90000) is not None


def test_proc_tells_who_uses_the_helper() -> None:
    """/proc/net/ip_vs_app has the ports, the last first, with the connections bound to each."""
    ftp = Ftp(modules=("ip_vs_ftp ports=21,2121",)).open()
    assert list(ftp.kernel.proc("ip_vs_app")) == [
        "prot port    usecnt name\n", "TCP  2121    0      ftp              \n", "TCP  21      1      ftp              \n",
    ]  # fmt: skip
    assert list(Kernel().proc("ip_vs_app")) == ["prot port    usecnt name\n"]
    before = Kernel(modules=["ip_vs_ftp"])  # the ports are there when the module is, before any packet
    assert list(before.proc("ip_vs_app"))[1:] == ["TCP  21      0      ftp              \n"]


CUTS = st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=6)
NUMBERS = st.sampled_from([b"10,9,8,7,19,136", b"10,9,8,77,1,2", b"1,1,1,1,255,255"])
ROUNDS = st.lists(st.tuples(CUTS, NUMBERS), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(rounds=ROUNDS, start=st.sampled_from([5000, (1 << 32) - 30, (1 << 32) - 200]))
def test_the_client_reads_the_rewritten_stream(rounds: list[tuple[list[tuple[int, bool]], bytes]], start: int) -> None:
    """However the server cuts what is around its answers, and whatever of it is sent again before the next answer: the
    client puts together the rewritten stream, no byte elsewhere, and the server gets its own numbers acknowledged."""
    ftp = Ftp()
    ftp.server_next = ftp.shown_next = start
    ftp.open()
    first = ftp.shown_next
    stream: dict[int, int] = {}
    expected = b""

    def arrives(payload: bytes, at: int) -> None:
        seen = ftp.down(payload=payload, at=at)
        assert seen is not None and seen.sums
        for place, byte in enumerate(seen.payload, (seen.sequence - first) % (1 << 32)):
            assert stream.setdefault(place, byte) == byte

    for cuts, numbers in rounds:
        ftp.up(payload=b"PASV\r\n")
        answer = b"227 (" + numbers + b")\r\n"
        arrives(answer, ftp.server_next)
        port = int.from_bytes(bytes(int(one) for one in numbers.split(b",")[4:]), "big")
        expected += b"227 (192,0,2,1,%d,%d)\r\n" % divmod(port, 256)
        for size, twice in cuts:
            at = ftp.server_next
            arrives(b"x" * size, at)
            if twice:
                arrives(b"x" * size, at)
            expected += b"x" * size
        seen = ftp.up(p.ACK)
        assert seen is not None and seen.acknowledged == ftp.server_next % (1 << 32)
    assert bytes(stream[place] for place in range(len(stream))) == expected
