"""``ipvssim pcap``: what a director with these rules makes of a capture.

The director has the devices of traces: clients are on ``client``, the real servers that the rules name on ``server``; the
virtual addresses that they name are its own. Packets come in by the device that their source is reached by.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from ipvsnl.cli.commands import run
from ipvsnl.cli.grammar import read_rules
from ipvsnl.client import IPVS
from ipvsnl.errors import IPVSError
from ipvsnl.link import SimulatedLink
from ipvssim.director import Director
from ipvssim.namespace import RELEASE, Namespace
from ipvssim.netlink import NetlinkSocket
from ipvssim.networks import rules_network

FAILED = 1


def director(rules: str, release: str = RELEASE) -> Director:
    """A director that the lines of ``rules`` (as ``ipvsadm -S`` writes them) were restored into.

    ValueError, with the line's number and reason, where one is none or is refused.
    """
    named = [(rule.service.address, rule.destination) for rule in read_rules(rules.splitlines())]
    virtual = {address for address, _ in named if address}
    servers = {destination.address for _, destination in named if destination is not None}
    namespace = Namespace(network=rules_network(virtual, servers), release=release)
    made = Director(namespace)
    namespace.connections = made.connections
    said = io.StringIO()
    link = nullcontext(NetlinkSocket(namespace, cap_ack=True, ext_ack=True, sndbuf=1 << 26))
    status = run(
        ["-R"],
        client_factory=lambda: IPVS(SimulatedLink(link)),
        stdin=io.StringIO(rules),
        stdout=io.StringIO(),
        stderr=said,
        progress=False,
    )
    if status or said.getvalue():
        raise ValueError(said.getvalue().rstrip())
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status is 0, or 1 where the rules or a file can't be used."""
    parser = argparse.ArgumentParser(prog="ipvssim pcap", description="Give a capture to a director.")
    parser.add_argument("rules", type=Path, help="rules, as ipvsadm -S writes them")
    parser.add_argument("capture", type=Path, help="what comes in (pcap or pcapng, Ethernet or raw IP)")
    parser.add_argument("out", type=Path, nargs="?", help="where what leaves is written (pcap)")
    parser.add_argument("--on", choices=("client", "server"), help="the device by which all of it comes in")
    parser.add_argument("--kernel", metavar="RELEASE", default=RELEASE, help="behave as that release of Linux 6.1")
    parser.add_argument("--explain", action="store_true", help="tell every packet's way")
    chosen = parser.parse_args(arguments)
    try:
        from ipvssim.scapy_io import play
    except ModuleNotFoundError as missing:
        print(f"ipvssim pcap: {missing.name} is not installed: pip install 'ipvsnl[sim]'", file=sys.stderr)
        return FAILED
    from ipvssim.explain import lines

    try:
        target = director(chosen.rules.read_text(), chosen.kernel)
        target.explaining = chosen.explain
        told = (lambda result: print("\n".join(lines(result)))) if chosen.explain else None
        counts = play(target, chosen.capture, chosen.out, on=chosen.on, told=told)
    except (IPVSError, OSError, ValueError) as wrong:
        print(f"ipvssim pcap: {wrong}", file=sys.stderr)
        return FAILED
    except Exception as wrong:
        if type(wrong).__name__ != "Scapy_Exception":
            raise
        print(f"ipvssim pcap: {chosen.capture}: {wrong}", file=sys.stderr)
        return FAILED
    print(f"{counts.received} packets came in, {counts.sent} left")
    for reason, number in counts.reasons.most_common():
        print(f"  {number:>8}  {reason}")
    return 0
