"""Coverage-guided fuzzing of the packet path with atheris: ``make fuzz``.

    python -m tests.fuzz.fuzz_director [-max_total_time=SECONDS] [CORPUS]

An input is a conversation: each packet is two bytes of length, one byte of origin and mark, and the packet. The law:
whatever comes in, the director answers with a result and never with an exception, and what it sends are IP packets.
Without a corpus, the packets of the recorded traces are the seeds.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ipvssim"]):
    from ipvssim.kernel import Kernel
    from ipvssim.net.networks import trace_network
    from ipvssim.path.director import Director


from ipvsnl.model import Destination, Service
from tests.places import DATA

TRACES = DATA / "traces"
MOST_PACKETS = 12
MARKS = (0, 7)
FOUR, SIX = [f"10.0.0.{last}" for last in range(10, 14)], [f"fd00:10::{last:x}" for last in range(10, 14)]


def director() -> Director:
    """A director with services of every kind, on the traces' network."""
    kernel = Kernel(network=trace_network())
    methods = ("masq", "route", "tunnel")
    with kernel.connect() as ipvs, ipvs.batch() as batch:
        for number, (protocol, port) in enumerate((("tcp", 80), ("tcp", 21), ("udp", 53), ("sctp", 5060), ("udp", 0))):
            for address, servers in (("203.0.113.1", FOUR), ("2001:db8:80::1", SIX)):
                service = Service(protocol, address, port, scheduler="rr", persistence=None if port else 60)
                batch.add_service(service)
                for server in servers[: 1 + number]:
                    batch.add_server(service, Destination(server, port, methods[number % 3]))
        for family, servers in ((2, FOUR), (10, SIX)):
            marked = Service(fwmark=7, family=family, scheduler="sh")
            batch.add_service(marked)
            batch.add_server(marked, Destination(servers[0], 0, "masq"))
    return kernel.director


def one_input(data: bytes) -> None:
    """One conversation."""
    target = director()
    at = 0
    for _ in range(MOST_PACKETS):
        if at + 3 > len(data):
            return
        length, how = struct.unpack_from("!HB", data, at)
        packet = data[at + 3 : at + 3 + length]
        at += 3 + length
        result = target.receive(packet, "server" if how & 1 else "client", MARKS[how >> 1 & 1])
        assert result.verdict is not None and (result.out or result.reason or result.local)
        for device, frame in result.out:
            sent = frame[14:] if device == "server" else frame
            assert sent and sent[0] >> 4 in (4, 6), frame.hex()


def seeds(folder: Path) -> None:
    """One file a recorded trace: its packets as a conversation."""
    for trace in TRACES.glob("*.trace"):
        steps = [json.loads(line) for line in trace.read_text().splitlines()[1:]]
        packets = [(bytes.fromhex(step["hex"]), step) for step in steps if step["do"] == "packet"][:MOST_PACKETS]
        parts = [
            struct.pack("!HB", len(data), (step["on"] == "server") | (2 if step.get("mark") else 0)) + data
            for data, step in packets
        ]
        if parts:
            (folder / trace.stem).write_bytes(b"".join(parts))


def main() -> None:
    """Run libFuzzer's loop over the corpus."""
    arguments = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        if not any(not argument.startswith("-") for argument in arguments[1:]):
            seeds(Path(folder))
            arguments = [*arguments, folder]
        atheris.Setup(arguments, one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
