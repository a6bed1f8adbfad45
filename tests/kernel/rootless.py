"""Random changes of a table by the verbs of the client, IPv4 alone, and what came of each.

As a program it plays them on the running kernel, in the network namespace that it finds itself in, and prints the outcome:
``unshare -r -n python -m tests.kernel.rootless SEED COUNT``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import ipvsnl
from ipvsnl import Daemon, Destination, Service, Timeouts
from ipvsnl.client import IPVS
from ipvsnl.refusals import BatchError, KernelError

Change = Callable[[IPVS], object]
SCHEDULERS = ["rr", "wrr", "lc", "wlc", "lblc", "sh", "mh", "none", "nosuch"]


def changes(seed: int, count: int) -> Iterator[Change]:
    """So many changes and questions; equal seeds make equal ones."""
    random = Random(seed)
    for _ in range(count):
        yield _change(random)


def _change(random: Random) -> Change:
    service, server = _service(random), _server(random)
    changes: list[tuple[float, Change]] = [
        (20, lambda ipvs: ipvs.add_service(service)),
        (6, lambda ipvs: ipvs.edit_service(service)),
        (4, lambda ipvs: ipvs.edit_service(service, scheduler="wrr")),
        (3, lambda ipvs: ipvs.delete_service(service)),
        (24, lambda ipvs: ipvs.add_server(service, server)),
        (8, lambda ipvs: ipvs.edit_server(service, server)),
        (4, lambda ipvs: ipvs.edit_server(service, server, weight=7)),
        (5, lambda ipvs: ipvs.delete_server(service, server)),
        (2, lambda ipvs: ipvs.zero(service)),
        (1, lambda ipvs: ipvs.zero()),
        (0.5, lambda ipvs: ipvs.flush()),
        (3, lambda ipvs: ipvs.set_timeouts(Timeouts(0, 5, None))),
        (1, lambda ipvs: ipvs.set_timeouts(Timeouts(1 << 31, 5, None))),
        (3, lambda ipvs: str(ipvs.timeouts())),
        (3, lambda ipvs: str(ipvs.service(service))),
        (3, lambda ipvs: str(ipvs.servers(service))),
        (3, lambda ipvs: str(ipvs.server(service, server))),
        (2, lambda ipvs: str(ipvs.info())),
        (2, lambda ipvs: ipvs.load([(service, [server]), service, (service, [server])])),
        (2, lambda ipvs: ipvs.apply(ipvs.plan({service: [server]}, prune=True))),
        (2, lambda ipvs: _batch(ipvs, service, server)),
        (1, lambda ipvs: str([one.replace(max_length=0, group=None, port=0, ttl=0) for one in ipvs.daemons()])),
        (1, lambda ipvs: ipvs.start_daemon(Daemon("master", "lo", 3))),
    ]
    return random.choices([change for _, change in changes], [weight for weight, _ in changes])[0]


def _batch(ipvs: IPVS, service: Service, server: Destination) -> None:
    with ipvs.batch() as batch:
        batch.add_service(service)
        batch.add_server(service, server)
        batch.edit_server(service, server.replace(weight=3))


def _service(random: Random) -> Service:
    how: dict[str, Any] = {"scheduler": random.choice(SCHEDULERS)}
    if random.random() < 0.4:
        how |= {"persistence": random.choice([0, 60, 300]), "netmask": random.choice([None, "255.255.255.0"])}
    if how["scheduler"] == "sh":
        how["flags"] = random.choice([0, 8, 24])
    if random.random() < 0.25:
        return Service(fwmark=random.choice([1, 2, 257]), **how)
    protocol, address = random.choice(["tcp", "tcp", "udp", "sctp"]), random.choice(["10.0.0.1", "10.0.0.9"])
    one_packet = protocol == "udp" and random.random() < 0.5
    return Service(protocol, address, random.choice([80, 0]), one_packet=one_packet, **how)


def _server(random: Random) -> Destination:
    address = random.choice(["10.1.0.1", "10.1.0.2", "127.0.0.1", "224.0.0.1", "0.0.0.0"])
    method = random.choice(["masq", "route", "tunnel", "local"])
    upper, lower = random.choice([0, 0, 10, 0x7FFFFFFF]), random.choice([0, 0, 5])
    return Destination(address, random.choice([80, 8080]), method, random.choice([0, 1, 5, 65535]), upper, lower)


def outcome(ipvs: IPVS, change: Change) -> list[Any]:
    """What came of a change, and the table as it is then."""
    try:
        said = change(ipvs)
        result = said if isinstance(said, str) else ""
    except KernelError as refused:
        result = f"{refused} {refused.errno} {refused.field}"
    except BatchError as some:
        result = "; ".join(str(one) for one in some.refused)
    except ipvsnl.IPVSError as wrong:
        result = f"{type(wrong).__name__}: {wrong}"
    return [result, sorted(str(entry) for entry in ipvs.snapshot())]


def main() -> None:
    seed, count = map(int, sys.argv[1:])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with ipvsnl.open("kernel") as ipvs:
        print(json.dumps([ipvs.interface, [outcome(ipvs, change) for change in changes(seed, count)]]))


if __name__ == "__main__":
    main()
