"""`sip`: clients and servers that talk SIP over UDP, their connections placed by Call-ID (ip_vs_pe_sip)."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .script import Flow, Script, Service

CALLS = (b"a84b4c76e66710@pc33.example.com", b"7@h", b"call-1", b"(x)<y>:z?{}~_`'*+-./", b"A84B4C@pc33")
ODD_CALLS = (b"", b"@host", b"a@", b"a@b@c", b"a b", b"a;b")
UNLISTED = (b"x" * 255, b"x" * 256, b"\xe9t\xe9@n\xf8rd", b"\xd7", b"n\xaa", b"\xf7", b"\xdf", b"\xb5@x", b"@\xe9")
"""Letters beyond ASCII, and what only looks like them, which no listing shows as text; and the longest, which ipvsadm's
listing does not survive."""
NAMES = (b"Call-ID", b"Call-ID", b"Call-ID", b"call-id", b"CALL-ID", b"i", b"I")
FRAMES = (
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33\r\n%s: %s\r\nCSeq: 1 INVITE\r\n\r\n",
    b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP pc33\r\n%s: %s\r\nCSeq: 1 INVITE\r\n\r\n",
    b"SIP/2.0 200 OK\n%s:%s\n\n",
    b"BYE x\r%s \t: \t%s\r\r",
    b"ACK x\r\n%s:\r\n  %s\r\n",
    b"ACK x\r\n %s: other\r\nCall-ID: %s\r\n",
    b"ACK x\r\nInfo: 7\r\n\r\n%s: %s\r\n",
)
ODD_FRAMES = (
    b"ACK x\r\n%s: %s",
    b"%s: %s\r\n\r\n",
    b"ACK x\r\n%s %s\r\nCall-ID: behind\r\n",
    b"ACK x\r\n%s: %s\r\nCall-ID: behind@it\r\n",
    b"ACK x\r\nCSeq: 1\r\n",
    b"ACK x\r\n%s:",
    b"\r\n%s: %s\n",
    b"",
)


def message(script: Script, unlisted: bool) -> bytes:
    """A SIP message: mostly with a Call-ID that is known, spelt in many ways."""
    frame = script.random.choice(FRAMES) if script.chance(85) else script.random.choice(ODD_FRAMES)
    call = script.random.choice(CALLS[:3] if script.chance(60) else CALLS)
    if script.chance(12):
        call = script.random.choice(ODD_CALLS)
    if unlisted and script.chance(40):
        call = script.random.choice(UNLISTED)
    count = frame.count(b"%s")
    return frame % (script.random.choice(NAMES), call)[:count] if count else frame


def sip(seed: int) -> Script:
    """Clients and servers that talk SIP over UDP, under persistence by Call-ID."""
    script = Script("sip", seed, marks=(5,))
    six, marked, unlisted = script.chance(25), script.chance(15), script.chance(15)
    protocol = p.UDP if script.chance(92) else p.TCP
    flags: list[object] = ["--pe", "sip"]
    if script.chance(92):
        flags = ["-p", script.pick(3, 60, 300), *flags]
    if script.chance(30):
        flags += ["-M", script.pick(64, 128) if six else script.pick("255.255.255.0", "255.255.0.0", "0.0.0.0")]
    if script.chance(30):
        flags.append("-o")
    service = script.service(
        script.pick("rr", "wlc", "sh"), protocol, six=six, port=script.pick(5060, 5060, 0), mark=5 if marked else None,
        flags=flags, method=script.pick("-m", "-m", "-m", "-m", "-g", "-i"),
    )  # fmt: skip
    service.server_port = 5060 if script.chance(80) else 5070
    servers = [
        script.server(service, number, 1, *script.thresholds(15)) for number in (10, 11, 12)[: script.pick(2, 3)]
    ]
    if script.chance(30):
        script.sysctl(script.pick("expire_quiescent_template", "nat_icmp_send", "expire_nodest_conn"), 1)
    if service.port == 0:
        service = Service(
            service.words, protocol, service.address, 5060, service.mark, service.method, service.server_port
        )
    flows: list[Flow] = []
    for _ in range(script.random.randrange(20, 32)):
        turn(script, service, servers, flows, unlisted)
    if not unlisted:
        script.ipvsadm("-Lcn", "--persistent-conn")
    if script.chance(15):
        script.sleep(6)
    script.look(stats=script.chance(40))
    return script


def turn(script: Script, service: Service, servers: list[str], flows: list[Flow], unlisted: bool) -> None:
    """One thing that happens: a client's message, a server's, a change of the table, a look."""
    what, six = script.random.randrange(100), len(service.address) == 16
    if what < 45 or not flows:
        flow = script.flow(service, script.client(six, near=4))
        flow.port = 5060 if script.chance(40) else flow.port
        flows.append(flow)
        udp = service.protocol == p.UDP
        script.packet(script.datagram(flow, message(script, unlisted)) if udp else script.opening(flow), flow.mark)
    elif what < 60:
        script.packet(script.datagram(script.random.choice(flows), message(script, unlisted)), flows[-1].mark)
    elif what < 75:
        script.datagram_back(script.random.choice(flows), script.random.choice(servers), message(script, unlisted))
    elif what < 88:
        other = script.flow(service, script.client(six, near=4))
        script.datagram_back(other, script.random.choice(servers), message(script, unlisted))
        if script.chance(60):
            script.packet(script.datagram(other, message(script, unlisted)), other.mark)
    elif what < 92:
        script.edit(service, script.random.choice(servers), script.pick(0, 1))
    elif what < 94:
        script.remove(service, servers[0])
        script.server(service, 10, 1)
    elif what < 96:
        script.ipvsadm("-E", *service.words, "-s", "rr", *script.pick(("-p", 60), ("-p", 60, "--pe", "sip")))
    elif not unlisted:
        script.ipvsadm("-Lcn", "--persistent-conn")


KINDS: dict[str, Callable[[int], Script]] = {"sip": sip}
