"""A capture of very many packets: a real director fed through a TUN device, and tcpdump on all its interfaces.

    ipvsnl lab-kernel -- python -m tests.kernel.captures.bulk PACKETS DIR

Every packet that comes in leaves again, so half of PACKETS are sent. Their connections are short, and the schedulers are
such as look at no connection's age: the kernel's timers may be late, and a run takes minutes. No servers are behind it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kernel.director import Network
from tests.kernel.traces import packets as p

RULES = "".join(
    f"-A {service} -s {scheduler}\n"
    + "".join(f"-a {service} -r 10.0.0.{10 + number}:{to} -m -w {1 + number % 3}\n" for number in range(8))
    for service, scheduler, to in (
        ("-t 203.0.113.1:80", "rr", 8080), ("-u 203.0.113.1:53", "wrr", 53), ("-t 203.0.113.2:443", "sh -b sh-port", 443),
        ("-t 203.0.113.3:80", "mh", 80), ("-u 203.0.113.2:53", "wrr -o", 53),
    )
)  # fmt: skip
TARGETS = (("203.0.113.1", 80, p.TCP), ("203.0.113.1", 53, p.UDP), ("203.0.113.2", 443, p.TCP), ("203.0.113.3", 80, p.TCP),
           ("203.0.113.2", 53, p.UDP))  # fmt: skip
CONNECTION = (p.SYN, p.ACK, p.PSH | p.ACK, p.ACK, p.FIN | p.ACK)
PAUSE, EVERY = 0.01, 200


def traffic(count: int) -> Iterator[bytes]:
    """So many packets of clients, drawn by chance, the same every time."""
    chance, made = random.Random(1), 0
    while True:
        text, port, protocol = chance.choice(TARGETS)
        target = p.address(text)
        client = p.address(f"192.0.{chance.randrange(2, 200)}.{chance.randrange(1, 255)}")
        ports = (chance.randrange(1024, 65536), port)
        for flags in CONNECTION[: 5 if protocol == p.TCP else 2]:
            if protocol == p.TCP:
                inner = p.tcp(client, target, ports, flags, b"data" if flags & p.PSH else b"", sequence=100)
            else:
                inner = p.udp(client, target, ports, b"what?")
            yield p.ip(client, target, protocol, inner, ident=made & 0xFFFF or 1)
            made += 1
            if made == count:
                return


def main(arguments: Sequence[str]) -> int:
    count, folder = int(arguments[0]), Path(arguments[1])
    folder.mkdir(parents=True, exist_ok=True)
    network = Network({})
    subprocess.run(["ipvsadm", "-R"], input=RULES, text=True, check=True)
    (folder / "bulk.rules").write_text(RULES)
    command = ["tcpdump", "-Z", "root", "-i", "any", "-B", "65536", "-s", "96", "-w", str(folder / "bulk.pcap"), "ip"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    next(line for line in running.stderr if "listening on" in line)
    time.sleep(0.5)
    began = time.monotonic()
    for number, packet in enumerate(traffic(count // 2)):
        network.send("client", packet)
        if not number % EVERY:
            time.sleep(PAUSE)  # tcpdump's turn
    time.sleep(2)
    running.send_signal(signal.SIGINT)
    print(running.communicate()[1], f"{time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
