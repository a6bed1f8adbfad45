"""Connection tracking beside IPVS: who asks for it, and what its entries make IPVS do. Recorded too: tracking-*, asked-*."""

from __future__ import annotations

import warnings
from pathlib import Path
from struct import pack

import pytest

from ipvssim import Kernel
from ipvssim.behaviours import BEHAVIOURS, resolve
from ipvssim.clock import Clock
from ipvssim.doors.table_file import TableFile
from ipvssim.net.checksums import transport
from ipvssim.path.result import CLASH
from ipvssim.path.tracking.entries import Entries, Entry
from ipvssim.path.tracking.sctp import HEARTBEAT_ACKED, Rules
from ipvssim.state.sysctl_view import NotModelledWarning
from ipvssim.state.tracking_sysctls import TrackingSysctls
from tests.ipvssim import worlds as w

FTP_VIRTUAL = bytes((203, 0, 113, 200))
OTHER = bytes((203, 0, 113, 2))
SECOND = bytes((10, 0, 0, 11))
TO_THE_OLD = "its connection-tracking entry leads to the old server"


def segment(
    flags: int, sequence: int, acknowledged: int = 0, *, target: bytes = w.VIRTUAL, ports: tuple[int, int] = (1024, 80),
    source: bytes = w.CLIENT,
) -> bytes:  # fmt: skip
    data = pack("!HHIIBBHHH", *ports, sequence, acknowledged, 0x50, flags, 8192, 0, 0)
    check = transport(source, target, w.TCP, data)
    return w.ip(source, target, w.TCP, data[:16] + pack("!H", check) + data[18:])


def answer(flags: int, sequence: int, acknowledged: int) -> bytes:
    return segment(flags, sequence, acknowledged, source=w.SERVER, target=w.CLIENT, ports=(8080, 1024))


def tracked(*, asks: bool = True, conntrack: int = 1, expire_nodest_conn: int = 0) -> w.World:
    """A director with a service of one server, which tracks if a service of port 21 asks for it."""
    world = w.World(conntrack=conntrack, expire_nodest_conn=expire_nodest_conn)
    if asks:
        world.kernel.load("-A -t 203.0.113.200:21 -s rr\n-a -t 203.0.113.200:21 -r 10.0.0.13:21 -m")
    world.server(world.service())
    return world


def converse(world: w.World) -> None:
    """A connection that the client closes and the server, too; only the last ACK does not come."""
    world.client(segment(w.SYN, 1000))
    world.from_server(answer(w.SYN | w.ACK, 5000, 1001))
    world.client(segment(w.ACK, 1001, 5001))
    world.client(segment(w.FIN | w.ACK, 1001, 5001))
    world.from_server(answer(w.FIN | w.ACK, 5001, 1002))


def test_the_first_syn_of_a_reused_port_makes_the_old_connection_go() -> None:
    """While an entry leads to the old server, a SYN is dropped and ends connection and entry; the next one is scheduled."""
    world = tracked()
    converse(world)
    result = world.client(segment(w.SYN, 2000))
    assert (result.out, result.reason, world.states()) == ([], TO_THE_OLD, [])
    again = world.client(segment(w.SYN, 2000))
    assert (again.opened, len(again.out), world.states()) == (True, 1, ["SYN_RECV"])


def test_a_connection_that_ended_properly_is_opened_anew_at_once() -> None:
    """After the last ACK the entry itself makes way for a SYN, and nothing is dropped."""
    world = tracked()
    converse(world)
    world.client(segment(w.ACK, 1002, 5002))
    assert world.client(segment(w.SYN, 2000)).opened


def test_an_entry_whose_time_is_over_stands_in_the_way_until_it_is_swept() -> None:
    """An entry that a server's packet opened ended: a client's SYN clashes with it for up to a minute, and then passes."""
    world = tracked()
    world.kernel.sysctl["net.netfilter.nf_conntrack_tcp_timeout_unacknowledged"] = 2
    world.from_server(answer(w.ACK, 5000, 1001))
    world.kernel.clock.advance(30_000_000)
    assert world.client(segment(w.SYN, 1000)).reason == CLASH
    world.kernel.clock.advance(31_000_000)
    assert world.client(segment(w.SYN, 1000)).out


def test_the_tunable_alone_changes_nothing() -> None:
    """Where nobody asks the kernel to track, ``conntrack=1`` drops no SYN."""
    world = tracked(asks=False)
    converse(world)
    assert world.client(segment(w.SYN, 2000)).opened


def test_without_the_tunable_connections_keep_no_entries() -> None:
    """Tracking that is asked for changes nothing for connections that were opened while ``conntrack`` was 0."""
    world = tracked(conntrack=0)
    converse(world)
    world.namespace.sysctls.write("net.ipv4.vs.conntrack", 1)
    assert world.client(segment(w.SYN, 2000)).opened


def test_others_may_ask() -> None:
    """Rules of netfilter that look at states ask for both families; the director is told so."""
    world = tracked(asks=False)
    world.director.tracker.asked = True
    converse(world)
    assert world.client(segment(w.SYN, 2000)).reason == TO_THE_OLD
    world.director.tracker.asked = False
    assert world.client(segment(w.SYN, 2000)).opened


RULE, SERVER = "-A -t 203.0.113.200:21 -s rr", "-a -t 203.0.113.200:21 -r 10.0.0.13:21"


@pytest.mark.parametrize(
    ("lines", "asks"),
    [
        ([RULE], False),
        ([RULE, SERVER + " -g"], False),
        ([RULE, SERVER + " -m"], True),
        ([RULE, SERVER + " -g", SERVER.replace("-a", "-e") + " -m"], True),
        ([RULE, SERVER + " -m", SERVER.replace("-a", "-e") + " -g"], True),
        ([RULE, SERVER + " -m", SERVER.replace("-a", "-d")], True),
        ([RULE, SERVER + " -m", "-D -t 203.0.113.200:21"], False),
        ([RULE.replace("-t", "-u"), SERVER.replace("-t", "-u") + " -m"], True),
        (["-A -t [2001:db8:80::f1]:21 -s rr", "-a -t [2001:db8:80::f1]:21 -r [fd00:10::b]:21 -m"], False),
    ],
)
def test_a_service_of_port_21_asks_from_its_first_server_that_translates_until_it_is_deleted(
    lines: list[str], asks: bool
) -> None:
    """It asks for its own family, whatever its protocol, and whatever becomes of its servers."""
    world = tracked(asks=False)
    world.kernel.load("\n".join(lines))
    converse(world)
    assert world.client(segment(w.SYN, 2000)).opened is not asks


def test_a_table_that_is_read_again_asks_again(tmp_path: Path) -> None:
    """A service that asked before it was saved asks after it was loaded."""
    file = TableFile(tmp_path / "table")
    file.lock()
    file.save(Kernel(f"{RULE}\n{SERVER} -m").namespace)
    file.unlock()
    assert file.load().director.tracker.on


def test_two_flows_can_not_share_a_servers_port() -> None:
    """A TCP flow whose answers would look like another's is opened, and its packet dropped; a UDP one passes."""
    world = tracked()
    world.server(world.service(address=OTHER, port=81))
    assert world.client(segment(w.SYN, 1000)).out
    other = world.client(segment(w.SYN, 9000, target=OTHER, ports=(1024, 81)))
    assert (other.out, other.reason, other.opened) == ([], CLASH, True)
    for address in (w.VIRTUAL, OTHER):
        world.server(world.service(w.UDP, address=address, port=53), port=53)
        assert world.client(w.udp(to=53, target=address)).out


def test_what_a_client_sends_past_the_service_stands_in_its_way() -> None:
    """A forwarded flow has an entry, too: until that is over, the same client's port does not reach the server through the
    service."""
    world = tracked()
    world.client(segment(w.SYN, 1000, target=w.SERVER, ports=(1024, 8080)))
    assert world.client(segment(w.SYN, 1000)).reason == CLASH
    world.pass_seconds(121)
    assert world.client(segment(w.SYN, 1000)).out


@pytest.mark.parametrize(("flags", "leaves"), [(w.ACK, False), (w.FIN | w.ACK, True), (w.RST, True)])
def test_a_segment_out_of_the_window_belongs_to_no_entry(flags: int, leaves: bool) -> None:
    """It would open an entry towards the server, which is there: an ACK is dropped for that. What opens none passes."""
    world = tracked()
    world.client(segment(w.SYN, 1000))
    world.from_server(answer(w.SYN | w.ACK, 5000, 1001))
    assert world.client(segment(w.ACK, 1001, 5001)).out
    assert bool(world.client(segment(flags, 900000, 5001)).out) is leaves
    assert world.client(segment(w.ACK, 1001, 5001)).out


def test_a_datagram_for_a_server_that_is_gone_is_dropped_once() -> None:
    """With ``expire_nodest_conn`` the first one ends connection and entry, and the next goes to another server."""
    world = tracked(expire_nodest_conn=1)
    service = world.service(w.UDP, port=53)
    world.server(service, port=53)
    gone = world.server(service, SECOND, port=53)
    assert world.client(w.udp(to=53)).server is gone
    world.namespace.table.delete_server(gone)
    assert world.client(w.udp(to=53)).reason == TO_THE_OLD
    assert world.client(w.udp(to=53)).opened


def test_forwarded_fragments_are_put_together() -> None:
    """While packets are tracked, fragments that only pass through leave when the last one has come."""
    world = tracked()
    pieces = w.fragments(w.udp(payload=b"f" * 1000, target=bytes((10, 0, 0, 12))), 400)
    assert [len(world.client(piece).out) for piece in pieces] == [0, 0, 3]


def test_a_sound_icmpv6_error_is_translated_while_packets_are_tracked() -> None:
    """6.1.176 takes sound ones for corrupt and drops them, unless connection tracking has found them sound before."""
    quoted = w.ip(w.CLIENT6, w.SERVER6, w.TCP, pack("!HH", 1024, 8080) + bytes(16))
    for asked in (True, False):
        world = w.World(conntrack=1)
        world.director.tracker.asked = asked
        world.server(world.service(address=w.VIRTUAL6), w.SERVER6)
        world.client(w.tcp(source=w.CLIENT6, target=w.VIRTUAL6))
        error = world.from_server(w.icmp(1, 4, 0, quoted, source=w.SERVER6, target=w.CLIENT6))
        assert bool(error.out) is asked


def test_an_entry_goes_with_its_connection() -> None:
    """The entries of connections that are flushed or run out are no longer there."""
    world = tracked()
    world.client(segment(w.SYN, 1000))
    entries = world.director.tracker.entries
    assert len(entries) == 1
    world.pass_seconds(61)
    assert (world.states(), len(entries)) == ([], 0)


def test_an_old_entry_drops_a_syn_whether_or_not_its_connection_keeps_entries() -> None:
    """An entry older than the service drops a SYN even of a connection that was opened with ``conntrack=0``; the next opens
    another (the trace tracked-639385542)."""
    world = w.World(conntrack=0, expire_nodest_conn=1)
    world.kernel.director.tracker.asked = True
    world.kernel.network.listens = lambda *_: True
    world.client(segment(w.SYN, 1000))
    world.server(world.service())
    assert world.client(segment(w.SYN, 1000)).opened
    world.kernel.load("-e -t 203.0.113.1:80 -r 10.0.0.10:8080 -m -w 0\n-a -t 203.0.113.1:80 -r 10.0.0.11:8080 -m")
    assert not world.client(segment(w.SYN, 1000)).opened
    assert world.client(segment(w.SYN, 1000)).opened


NETFILTER = "net.netfilter.nf_conntrack_"


def test_timeouts_of_tracking_are_tunables() -> None:
    """An entry lives as long as its state's tunable says: one that is over makes no SYN of a reused port go."""
    world = tracked()
    world.kernel.sysctl[f"{NETFILTER}tcp_timeout_last_ack"] = 2
    converse(world)
    world.kernel.advance(3)
    assert world.client(segment(w.SYN, 2000)).opened


def test_where_tracking_is_not_loose_a_connection_is_not_picked_up() -> None:
    """``tcp_loose=0``: the ACK of a connection that began before has no entry, and leaves none."""
    world = tracked()
    world.kernel.sysctl["sloppy_tcp"] = 1
    world.kernel.sysctl[f"{NETFILTER}tcp_loose"] = 0
    world.client(segment(w.ACK, 1001, 5001))
    assert len(world.director.tracker.entries) == 0
    world.kernel.sysctl[f"{NETFILTER}tcp_loose"] = 1
    world.client(segment(w.ACK, 1001, 5001))
    assert len(world.director.tracker.entries) == 1


@pytest.mark.parametrize(("name", "wrong"), [
    ("tcp_loose", 2), ("checksum", -1), ("tcp_max_retrans", 256), ("udp_timeout", 21474837), ("generic_timeout", "x"),
])  # fmt: skip
def test_a_tunable_of_tracking_has_its_range(name: str, wrong: int | str) -> None:
    """EINVAL for a value that the kernel refuses, and the old one stays; KeyError for a tunable that has no effect here."""
    sysctl = Kernel().sysctl
    before = sysctl[NETFILTER + name]
    with pytest.raises(OSError, match="Invalid argument"):
        sysctl[NETFILTER + name] = wrong
    assert sysctl[NETFILTER + name] == before
    with pytest.raises(KeyError):
        sysctl[f"{NETFILTER}max"] = 5


def test_what_is_not_modelled_is_said_where_it_is_asked_for() -> None:
    """Writing conntrack=1 warns, names what is missing, and the log has it; 0 and other tunables are silent."""
    kernel = Kernel(debug_level=0)
    with pytest.warns(
        NotModelledWarning, match="conntrack=1: .* not modelled: rules of netfilter.*expectations"
    ) as told:
        kernel.sysctl["conntrack"] = 1
    assert told[0].filename == __file__ and [str(line.severity) for line in kernel.log] == ["4"]
    with pytest.warns(NotModelledWarning) as told:
        Kernel(sysctl={"conntrack": 1})
    assert told[0].filename == __file__
    assert "not modelled" in kernel.namespace.write_sysctl("net/ipv4/vs/conntrack", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel.sysctl["conntrack"] = 0
        kernel.sysctl[f"{NETFILTER}udp_timeout"] = 5


def test_older_kernels_have_other_tunables_of_tracking(tmp_path: Path) -> None:
    """5.10.46: answered heartbeats are a state of their own, shut associations end at once (which shows as 0), RSTs are
    always measured, and a count is any int. A table file of such a kernel keeps them."""
    kernel = Kernel(release="5.10.46")
    sctp = f"{NETFILTER}sctp_timeout_"
    assert [kernel.sysctl[sctp + one] for one in ("established", "heartbeat_acked", "shutdown_sent")] == [
        "432000",
        "210",
        "0",
    ]
    assert kernel.namespace.tracking.life("sctp_timeout_shutdown_recd") == 30
    with pytest.raises(KeyError):
        kernel.sysctl[f"{NETFILTER}tcp_ignore_invalid_rst"] = 1
    with pytest.raises(KeyError):
        Kernel().sysctl[sctp + "heartbeat_acked"] = 5
    kernel.sysctl[f"{NETFILTER}tcp_max_retrans"] = -1
    kernel.sysctl[sctp + "heartbeat_acked"] = 7
    TableFile(tmp_path / "t").save(kernel.namespace)
    again = TableFile(tmp_path / "t").load(release="5.10.46").sysctl
    assert again[sctp + "heartbeat_acked"] == "7" and again[f"{NETFILTER}tcp_max_retrans"] == "-1"
    assert again[sctp + "shutdown_sent"] == "0"


def test_each_state_of_an_association_is_one_that_its_kernel_has() -> None:
    """Without a state for answered heartbeats no chunk leads there from any other; with it, one does."""
    for release, leads in (("6.1.176", False), ("5.10.46", True), ("5.10.166", False)):
        tables = Rules(resolve(release).behaviours).next
        reached = {row[old] for table in tables for row in table.values() for old in range(HEARTBEAT_ACKED)}
        assert (HEARTBEAT_ACKED in reached) == leads


def test_a_table_file_keeps_the_tunables_of_tracking(tmp_path: Path) -> None:
    """They are saved with the others, and read again."""
    kernel = Kernel()
    kernel.sysctl[f"{NETFILTER}udp_timeout"] = 5
    TableFile(tmp_path / "t").save(kernel.namespace)
    assert TableFile(tmp_path / "t").load().sysctl[f"{NETFILTER}udp_timeout"] == "5"


def test_a_new_flow_whose_first_key_is_taken_is_found_by_its_answers_for_a_second() -> None:
    """nf_ct_resolve_clash_harder, as read in 6.12: where its other key is free; the entry goes when its second is over."""
    clock = Clock()
    entries = Entries(clock, TrackingSysctls(), BEHAVIOURS)
    there, back, other = (w.UDP, b"there"), (w.UDP, b"back"), (w.UDP, b"other")
    old, new, late = Entry(there, back, None), Entry(there, other, None), Entry(there, back, None)
    old.expires = 1000
    entries.add(old)
    assert old.is_flow_of(Entry(back, there, None)) and not new.is_flow_of(old)
    assert entries.squeeze_in(new) and not entries.squeeze_in(late)
    assert entries.find(there) == (old, 0) and entries.find(other) == (new, 1)
    clock.advance(1_000_000)
    assert entries.find(other) is None and entries.find(there) == (old, 0)
    assert entries.squeeze_in(new)
    assert not entries.squeeze_in(Entry(there, other, None))
    clock.advance(130_000_000)
    entries.clash(new)  # the sweep, which meets it by its answers' key alone
    assert entries.squeeze_in(Entry(there, other, None))


def test_a_negative_timeout_is_long_and_over_at_once() -> None:
    """The kernel keeps it without a sign: so it is more than any other, and the time that it ends at has passed. Recorded,
    too: tracked_tunables-506603788."""
    clock, sysctls = Clock(), TrackingSysctls()
    entries = Entries(clock, sysctls, BEHAVIOURS)
    entry = Entry((w.UDP, b"there"), (w.UDP, b"back"), None)
    entries.add(entry)
    sysctls.write(f"{NETFILTER}tcp_timeout_established", 21474836)
    longest = sysctls.life("tcp_timeout_established")
    entries.refresh(entry, longest)
    clock.advance(1_000_000_000)
    assert entries.find((w.UDP, b"back")) == (entry, 1)
    sysctls.write(f"{NETFILTER}tcp_timeout_established", -1)
    assert sysctls.life("tcp_timeout_established") > longest
    entries.refresh(entry, sysctls.life("tcp_timeout_established"))
    assert entries.find((w.UDP, b"back")) is None
