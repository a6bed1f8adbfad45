"""Both directions in one capture: what left its director is compared, and not played."""

from __future__ import annotations

from pathlib import Path

import pytest

from ipvssim.doors.capture import Captured, play
from ipvssim.doors.captures import marks
from ipvssim.doors.captures.report import lines
from ipvssim.doors.captures.sides import Role, Told, told
from ipvssim.kernel import Kernel
from ipvssim.net.packets import with_hops4
from tests.ipvssim import worlds as w
from tests.ipvssim.doors import captured as c
from tests.places import DATA

CASES = DATA / "captures"
SERVERS = {81: bytes.fromhex("022020202081"), 82: bytes.fromhex("022020202082")}
VIRTUAL, CLIENT = bytes((198, 18, 0, 10)), bytes((198, 18, 30, 7))


def rules(method: str, *more: str, service: str = "-t 198.18.0.10:80", scheduler: str = "rr") -> str:
    lines = [f"-A {service} -s {scheduler}"]
    lines += [f"-a {service} -r 198.18.20.{last}:80 {method} {' '.join(more)}" for last in (81, 82)]
    return "\n".join(lines)


def server(last: int) -> bytes:
    return bytes((198, 18, 20, last))


def syn(port: int, ident: int = 1) -> bytes:
    return w.tcp(w.SYN, port, source=CLIENT, target=VIRTUAL, ident=ident)


def played(
    tmp_path: Path, text: str, wires: list[c.Wire], link: str = "ethernet", sides: Told | None = None,
    file: bytes | None = None, **how: object,
) -> Captured:  # fmt: skip
    path = tmp_path / "in"
    path.write_bytes(file if file is not None else c.classic(link, wires))
    return play(Kernel(text).director, path, sides=sides, **how)  # type: ignore[arg-type]


def agreements(counts: Captured) -> list[tuple[str, bool]]:
    return [(one.director, one.agrees) for one in counts.flows.compare()]


@pytest.mark.parametrize(
    ("case", "servers", "states"),
    [
        ("nat-in", ["198.18.20.81:6443"], ["SYN_RECV", "ESTABLISHED", "FIN_WAIT", "TIME_WAIT"]),
        ("ops", ["198.18.20.82:53", "198.18.20.81:53"], []),
        ("sll", ["198.18.20.81:6443"], ["SYN_RECV", "ESTABLISHED"]),
        ("fwmark", [], ["SYN_RECV"]),
    ],
)
def test_recorded_captures(case: str, servers: list[str], states: list[str]) -> None:
    """Captures as their reporters made them are played, and the twin agrees with the director that they show."""
    kernel = Kernel((CASES / f"{case}.rules").read_text())
    counts = play(kernel.director, CASES / f"{case}.pcap", marks=[marks.read("tcp dport 80 -> 1481")])
    assert agreements(counts) == [(one, True) for one in servers]
    assert counts.flows.all[0].states == states


def forwarded(method: str, request: bytes, last: int) -> c.Wire:
    """The request as a director sends it to a server, by any method, at time 0 (made by the simulator itself)."""
    kernel = Kernel(rules(*method.split(" ", 1)).replace(f"198.18.20.{163 - last}:80", "198.18.20.99:80 -w 0"))
    ((_, data),) = kernel.receive(request).out
    return c.Wire(0, data[14:], c.DIRECTOR, SERVERS[last])


METHODS = ["-m", "-g", "-i", "-i --tun-type gre", "-i --tun-type gre --tun-csum", "-i --tun-type gue --tun-port 6080"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("link", ["ethernet", "vlan", "cooked", "cooked2", "pcapng"])
def test_what_left_is_compared_whatever_the_method(tmp_path: Path, method: str, link: str) -> None:
    """Four requests are four flows, and of the capture's .81, .81, .82, .81 the twin (rr: .82, .81, .82, .81) has three.

    Cooked captures keep no receiver's MAC: with direct routing they can't tell which server it was.
    """
    wires = []
    for port, last in ((1, 81), (2, 81), (3, 82), (4, 81)):
        request = syn(port, ident=port)
        wires += [
            c.Wire(port * 1000, request),
            forwarded(method, request, last)._replace(when=port * 1000 + 50, out=True),
        ]
    file = c.pcapng(["ethernet"], wires) if link == "pcapng" else c.classic(link, wires)
    counts = played(tmp_path, rules(*method.split(" ", 1)), [], file=file)
    assert (counts.received, counts.left[Role.LEFT], len(counts.flows.all)) == (4, 4, 4)
    known = [] if method == "-g" and link.startswith("cooked") else [False, True, True, True]
    assert [agrees for _, agrees in agreements(counts)] == known


def test_requests_that_wait_for_each_other_are_told_apart(tmp_path: Path) -> None:
    """Two datagrams of one client that come before either leaves are two picks of one-packet scheduling."""
    text = rules("-g", service="-u 198.18.0.10:80").replace("-s rr", "-s rr -o")
    one, two = (w.udp(7, payload=data, source=CLIENT, target=VIRTUAL) for data in (b"one!", b"two!"))
    wires = [c.Wire(0, one), c.Wire(1, two)]
    wires += [
        c.Wire(2, one, c.DIRECTOR, SERVERS[82]), c.Wire(3, two, c.DIRECTOR, SERVERS[81]),
    ]  # fmt: skip
    assert agreements(played(tmp_path, text, wires)) == [("198.18.20.82:80", True), ("198.18.20.81:80", True)]


def test_a_retransmission_is_no_copy(tmp_path: Path) -> None:
    """The same bytes between the same two MAC addresses come in again, and so do they after a second."""
    wires = [c.Wire(0, syn(1)), c.Wire(200_000, syn(1)), c.Wire(3_000_000, syn(1), target=bytes(6))]
    counts = played(tmp_path, rules("-g"), wires)
    assert (counts.received, counts.left.total()) == (3, 0)


@pytest.mark.parametrize("link", ["raw", "null", "ethernet"])
def test_a_lifetime_reduced_by_one_is_a_copy(tmp_path: Path, link: str) -> None:
    """Where no MAC address tells, the lifetime does."""
    wires = [c.Wire(0, syn(1)), c.Wire(10, with_hops4(syn(1), 63))]
    assert played(tmp_path, rules("-g"), wires, link).left == {Role.LEFT: 1}


def test_a_packet_seen_on_a_second_interface_is_played_once(tmp_path: Path) -> None:
    """tcpdump -i any sees what comes in on a device and on the bridge above it."""
    wires = [c.Wire(0, syn(1), interface=2), c.Wire(1, syn(1), interface=5)]
    assert played(tmp_path, rules("-m"), wires, "cooked2").left == {Role.AGAIN: 1}


def test_a_capture_of_the_clients_own_host_is_played(tmp_path: Path) -> None:
    """There requests go out, and what a virtual address answers comes in: still the requests are what is played, and the
    answers as their server sent them."""
    answer = w.tcp(w.SYN | w.ACK, 80, 1, source=VIRTUAL, target=CLIENT)
    wires = [c.Wire(0, syn(1), out=True), c.Wire(1, answer), c.Wire(2, syn(2), out=True)]
    counts = played(tmp_path, rules("-m"), wires, "cooked")
    assert (counts.received, counts.restored, counts.left) == (3, 1, {})


def test_answers_that_are_seen_only_towards_clients_reach_the_connection(tmp_path: Path) -> None:
    """Between director and clients a server's reset comes from the virtual address: the twin's connection ends by it."""
    reset = w.tcp(w.RST | w.ACK, 80, 1, source=VIRTUAL, target=CLIENT)
    wires = [c.Wire(0, syn(1)), c.Wire(1, w.tcp(w.ACK, 1, source=CLIENT, target=VIRTUAL)), c.Wire(2, reset)]
    counts = played(tmp_path, rules("-m"), wires)
    assert counts.flows.all[0].states == ["SYN_RECV", "ESTABLISHED", "CLOSE"]
    assert (counts.restored, counts.flows.all[0].back_packets) == (1, 1)


def test_answers_that_are_seen_on_both_sides_count_once(tmp_path: Path) -> None:
    """Where the server's own packet is in the capture, what left for the client is none that came."""
    back = w.tcp(w.SYN | w.ACK, 80, 1, source=VIRTUAL, target=CLIENT)
    wires = [c.Wire(0, syn(1)), c.Wire(1, answer(1, 82), SERVERS[82]), c.Wire(2, back)]
    counts = played(tmp_path, rules("-m"), wires)
    assert (counts.restored, counts.left, counts.flows.all[0].back_packets) == (0, {Role.BACK: 1}, 1)


def test_the_directors_own_clients_are_said_to_be_unknowable(tmp_path: Path) -> None:
    """What the director's own programs send is captured behind the translation: a note says so."""
    sent = w.tcp(source=CLIENT, target=server(82))
    counts = played(tmp_path, rules("-m"), [c.Wire(0, sent, out=True)], "cooked")
    assert "the director's own clients" in "\n".join(lines(counts))


def answer(port: int, last: int) -> bytes:
    return w.tcp(w.SYN | w.ACK, 80, port, source=server(last), target=CLIENT)


def test_answers_tell_the_captured_server_and_reach_the_twins_connection(tmp_path: Path) -> None:
    """Where the twin chose .82 and .81 answers, the flow differs, and yet it goes on to ESTABLISHED with its client's ACK;
    what leaves for the client is right to the last bit."""
    acked = w.tcp(w.ACK, 1, source=CLIENT, target=VIRTUAL)
    wires = [c.Wire(0, syn(1)), c.Wire(1, answer(1, 81), SERVERS[81]), c.Wire(2, acked)]
    results: list[tuple[str, bytes]] = []
    counts = played(tmp_path, rules("-m"), wires, told=lambda result: results.extend(result.out))
    assert agreements(counts) == [("198.18.20.81:80", False)] and counts.turned == 1
    assert counts.flows.all[0].states == ["SYN_RECV", "ESTABLISHED"]
    assert results[1][1] == w.tcp(w.SYN | w.ACK, 80, 1, source=VIRTUAL, target=CLIENT, ttl=63)


def test_ipv6_answers_of_another_server_are_right_to_the_last_bit(tmp_path: Path) -> None:
    """The same for IPv6 and UDP."""
    text = "-A -u [2001:db8:80::1]:80 -s rr\n-a -u [2001:db8:80::1]:80 -r [fd00:10::a]:80 -m\n"
    other = bytes.fromhex("fd000010000000000000000000000bbb")
    text += text.splitlines()[1].replace("::a", "::bbb") + " -w 0\n"
    wires = [c.Wire(0, w.udp(7, source=w.CLIENT6, target=w.VIRTUAL6))]
    wires += [c.Wire(1, w.udp(80, 7, source=other, target=w.CLIENT6))]
    results: list[tuple[str, bytes]] = []
    counts = played(tmp_path, text, wires, told=lambda result: results.extend(result.out))
    assert agreements(counts) == [("[fd00:10::bbb]:80", False)]
    assert results[1][1] == w.udp(80, 7, source=w.VIRTUAL6, target=w.CLIENT6, ttl=63)


def direct(port: int, last_byte: int, when: int) -> list[c.Wire]:
    request = syn(port, ident=port)
    there = bytes.fromhex("0600000000") + bytes((last_byte,))
    return [c.Wire(when, request), c.Wire(when + 1, request, c.DIRECTOR, there)]


def test_whose_a_mac_address_is(tmp_path: Path) -> None:
    """With direct routing a server is known by its MAC: from the user, from ARP, from its own packets, else by inference."""
    # the twin sends .82, .81, .82
    wires = [*direct(1, 1, 0), *direct(2, 2, 10), *direct(3, 1, 20)]
    assert agreements(played(tmp_path, rules("-g"), wires)) == [
        ("198.18.20.82:80", True), ("198.18.20.81:80", True), ("198.18.20.82:80", True),
    ]  # fmt: skip
    first, second = (bytes.fromhex("0600000000") + bytes((last,)) for last in (1, 2))
    said = told(servers=[(first, server(81)), (second, server(82))])
    others = ["198.18.20.81:80", "198.18.20.82:80", "198.18.20.81:80"]
    assert agreements(played(tmp_path, rules("-g"), wires, sides=said)) == [(one, False) for one in others]
    own = [c.Wire(0, w.udp(1, 2, source=server(last), target=CLIENT), bytes.fromhex("060000000000")[:5] + bytes((mac,)))
           for mac, last in ((1, 81), (2, 82))]  # fmt: skip
    assert agreements(played(tmp_path, rules("-g"), own + wires)) == [(one, False) for one in others]
    whole = c.classic("ethernet", wires)
    arp = b"".join(
        bytes(8) + b"\x2a\0\0\0\x2a\0\0\0" + bytes(12) + bytes.fromhex("0806000108000604") + b"\0\2" + mac + server(last)
        + bytes(10) for mac, last in ((first, 81), (second, 82))
    )  # fmt: skip
    found = played(tmp_path, rules("-g"), [], file=whole[:24] + arp + whole[24:])
    assert agreements(found) == [(one, False) for one in others] and found.other == 2


@pytest.mark.parametrize("last", [0x81, 81])
def test_a_mac_address_that_ends_as_one_server_does(tmp_path: Path, last: int) -> None:
    """The last byte, read as hexadecimal digits or as a number, names the server where nothing else does."""
    counts = played(tmp_path, rules("-g"), direct(1, last, 0))
    assert agreements(counts) == [("198.18.20.81:80", False)] and counts.flows.assumed


def test_the_user_tells_the_sides(tmp_path: Path) -> None:
    """The director's own MAC, and interfaces, tell what left where the packets' bytes do not."""
    wires = [c.Wire(0, syn(1)), c.Wire(9_000_000, syn(1), c.DIRECTOR, SERVERS[81])]
    assert played(tmp_path, rules("-g"), wires).left.total() == 0
    assert played(tmp_path, rules("-g"), wires, sides=told(director=["02:66:77:88:99:aa"])).left == {Role.LEFT: 1}
    wires[1] = wires[1]._replace(interface=1)
    for sides in (told(server_side=["eth1"]), told(client_side=["eth0"], server_side=["eth1"])):
        file = c.pcapng(["ethernet", "ethernet"], wires)
        assert played(tmp_path, rules("-g"), [], file=file, sides=sides).left == {Role.LEFT: 1}
    with pytest.raises(ValueError, match="'02:66' is no MAC address"):
        told(director=["02:66"])


def test_fragments_have_sides_too(tmp_path: Path) -> None:
    """What has no ports is told apart by its addresses: a request's fragments came, those to the server left."""
    text = rules("-m", service="-u 198.18.0.10:80")
    whole = w.udp(7, payload=bytes(1000), source=CLIENT, target=VIRTUAL)
    came = [c.Wire(0, one) for one in w.fragments(whole, 512)]
    left = [c.Wire(1, one) for one in w.fragments(whole[:16] + server(82) + whole[20:], 512)]
    counts = played(tmp_path, text, [*came, *left])
    assert (counts.received, counts.left[Role.LEFT], counts.flows.all[0].in_packets) == (2, 2, 1)


def test_what_the_director_itself_says_and_hears_is_not_played(tmp_path: Path) -> None:
    """Once a forwarded request has shown its MAC address, its health checks and their answers are nobody's requests."""
    own = bytes((198, 18, 20, 1))
    check = w.tcp(w.SYN, 9, 80, source=own, target=server(81))
    wires = [c.Wire(0, syn(1)), forwarded("-m", syn(1), 82)._replace(when=1), c.Wire(2, check, c.DIRECTOR, SERVERS[81])]
    wires.append(c.Wire(3, w.tcp(w.SYN | w.ACK, 80, 9, source=server(81), target=own), SERVERS[81]))
    counts = played(tmp_path, rules("-m"), wires)
    assert (counts.received, counts.left) == (1, {Role.LEFT: 1, Role.OWN: 2})


def test_a_capture_of_the_servers_wire_alone_tells_the_server(tmp_path: Path) -> None:
    """With direct routing a request seen once, on its way to a known server, is played and compared."""
    said = told(servers=[(mac, server(last)) for last, mac in SERVERS.items()])
    counts = played(tmp_path, rules("-g"), [c.Wire(0, syn(1), c.DIRECTOR, SERVERS[81])], sides=said)
    assert counts.received == 1 and agreements(counts) == [("198.18.20.81:80", False)]
