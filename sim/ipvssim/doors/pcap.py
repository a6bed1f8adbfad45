"""``ipvssim pcap``: what a director with these rules makes of a capture.

Clients are on the device ``client``, the real servers that the rules name on ``server``; the virtual addresses that they
name are the director's own. Packets come in by the device that their source is reached by.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ipvsnl.errors import IPVSError
from ipvsnl.text.hints import printable
from ipvssim.kernel import Kernel
from ipvssim.state.namespace import RELEASE

FAILED = 1


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
        from ipvssim.doors.capture import play
    except ModuleNotFoundError as missing:
        print(f"ipvssim pcap: {missing.name} is not installed: pip install 'ipvsnl[sim]'", file=sys.stderr)
        return FAILED
    from ipvssim.path.explain import lines

    try:
        kernel = _kernel(chosen.rules, chosen.kernel)
        kernel.director.explaining = chosen.explain
        told = (lambda result: print("\n".join(lines(result)))) if chosen.explain else None
        counts = play(kernel.director, chosen.capture, chosen.out, on=chosen.on, told=told)
    except (IPVSError, OSError, ValueError) as wrong:
        named = isinstance(wrong, OSError) and wrong.filename is not None
        said = f"{wrong.filename}: {wrong.strerror}" if named and isinstance(wrong, OSError) else f"{wrong}"
        print(f"ipvssim pcap: {said}", file=sys.stderr)
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


def _kernel(rules: Path, release: str) -> Kernel:
    """A kernel with the rules of a file; ValueError names it."""
    text = rules.read_text(encoding="utf-8", errors="surrogateescape")
    kernel = Kernel(release=release)
    try:
        kernel.load(text)
        return kernel
    except ValueError as wrong:
        raise ValueError("\n".join(f"{rules}: {printable(line)}" for line in str(wrong).split("\n"))) from None
