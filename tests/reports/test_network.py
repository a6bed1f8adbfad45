"""Reports about tunnels, ICMP, fragments, SCTP, marks, and addresses of the director's own."""

from __future__ import annotations

from struct import unpack_from

import pytest

from tests.ipvssim import worlds as w
from tests.reports.site import CLIENT, ONE, TWO, VIRTUAL, WEB, Site, farm, packed, went

# --- tunnels ---


def sized(total: int, *, df: bool) -> bytes:
    """A segment of so many bytes with its IP header."""
    return w.tcp(w.ACK, 1000, 80, bytes(total - 40), source=packed(CLIENT), target=packed(VIRTUAL), df=df)


@pytest.mark.parametrize(("kind", "room"), [
    ("", 1480), ("--tun-type gre --tun-nocsum", 1476), ("--tun-type gre --tun-csum", 1472),
    ("--tun-type gue --tun-port 6080 --tun-nocsum", 1468),
])  # fmt: skip
def test_a_tunnel_takes_room_of_the_mtu(kind: str, room: int) -> None:
    """A packet that may not be cut passes up to the MTU less the tunnel's headers; a longer one is told that number."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80 {kind}", method="-i"))
    site.open(1000)
    assert went(site.kernel.receive(sized(room, df=True))) == ONE
    refused = site.kernel.receive(sized(room + 1, df=True))
    (frame,) = refused.out
    message = frame[1][frame[1].index(b"\x03\x04") :]
    assert refused.verdict.value == "drop" and unpack_from("!H", message, 6)[0] == room


def test_without_df_or_path_mtu_discovery_a_packet_is_cut() -> None:
    """What may be cut passes in pieces; with pmtu_disc=0 that is so for packets with DF, too."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80", method="-i"))
    site.open(1000)
    assert len(site.kernel.receive(sized(1500, df=False)).out) == 2
    relaxed = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80", method="-i"), pmtu_disc=0)
    relaxed.open(1000)
    assert len(relaxed.kernel.receive(sized(1500, df=True)).out) == 2


def test_only_a_tunnel_leads_to_the_other_address_family() -> None:
    """An IPv6 service with an IPv4 server behind address translation is refused, with the cause; a tunnel is taken."""
    site = Site("-A -t [2001:db8::1]:80 -s rr")
    refused = site.kernel.ipvsnl("-a", "-t", "[2001:db8::1]:80", "-r", f"{ONE}:80", "-m")
    assert refused.status != 0 and "tunnel" in refused.stderr
    assert site.kernel.ipvsnl("-a", "-t", "[2001:db8::1]:80", "-r", f"{ONE}:80", "-i").status == 0


# --- marks, and what is the host's own ---


def test_a_mark_s_service_sees_only_marked_packets() -> None:
    """A service by firewall mark has no address: without the mark its packets are nobody's."""
    site = Site(farm("-f 1481 -s rr", f"{ONE}:80", method="-i"))
    assert went(site.tcp(w.SYN, 1000)) is None
    assert went(site.tcp(w.SYN, 1000, mark=1481)) == ONE


def test_other_ports_of_a_virtual_address_are_the_hosts() -> None:
    """The virtual address is the director's own: a port without a service reaches its host."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80"))
    result = site.tcp(w.SYN, 1000, dport=22)
    assert result.local and result.server is None


def test_a_ping_of_a_virtual_address_is_the_hosts() -> None:
    """An ICMP echo is not balanced: the director's host gets it, whatever its servers do."""
    site = Site(farm(f"-t {WEB} -s rr", f"{ONE}:80"))
    echo = w.icmp(8, 0, 0x10001, b"ping", source=packed(CLIENT), target=packed(VIRTUAL))
    result = site.kernel.receive(echo)
    assert result.local and result.server is None


# --- SCTP, fragments ---


def association(site: Site, kind: int, port: int = 3000, client: str = CLIENT) -> str | None:
    """A chunk of a client's."""
    chunk = w.chunk(kind, bytes(16))
    return went(site.kernel.receive(w.sctp(chunk, port=port, to=3868, source=packed(client), target=packed(VIRTUAL))))


INIT, HEARTBEAT, DATA = 1, 4, 0
SCTP = f"--sctp-service {VIRTUAL}:3868 -s rr"


@pytest.mark.parametrize("sloppy", [0, 1])
def test_a_second_path_of_an_association_is_not_known(sloppy: int) -> None:
    """A heartbeat from a client's other address opens no connection, so it goes to no server; with sloppy_sctp=1 it does."""
    site = Site(farm(SCTP, f"{ONE}:3868", f"{TWO}:3868"), sloppy_sctp=sloppy)
    assert association(site, INIT) is not None
    assert (association(site, HEARTBEAT, client="198.51.100.2") is not None) is bool(sloppy)


def test_the_two_paths_of_an_association_may_have_two_servers() -> None:
    """Each address of a client is a connection of its own; persistence with a mask over both keeps them together."""
    site = Site(farm(SCTP, f"{ONE}:3868", f"{TWO}:3868"), sloppy_sctp=1)
    assert association(site, INIT) != association(site, HEARTBEAT, client="198.51.100.2")
    wide = Site(farm(f"{SCTP} -p 60 -M 255.255.255.0", f"{ONE}:3868", f"{TWO}:3868"), sloppy_sctp=1)
    assert association(wide, INIT) == association(wide, HEARTBEAT, client="198.51.100.2")


def test_a_datagram_in_fragments_has_one_server() -> None:
    """Later fragments have no ports: they wait for the first one, and all go to one server."""
    site = Site(farm(f"-u {VIRTUAL}:53 -s rr -o", f"{ONE}:53", f"{TWO}:53"))
    whole = w.udp(5000, 53, bytes(3000), source=packed(CLIENT), target=packed(VIRTUAL))
    pieces = w.fragments(whole, 1000)
    results = [site.kernel.receive(piece) for piece in pieces]
    assert [one.verdict.value for one in results[:-1]] == ["held"] * (len(pieces) - 1)
    assert went(results[-1]) in (ONE, TWO) and len(results[-1].out) == len(pieces)
