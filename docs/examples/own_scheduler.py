"""A scheduler of one's own: two choices. Of two servers that the client's hash names, the one with fewer connections."""

from collections import Counter
from zlib import crc32

from scapy.layers.inet import IP, TCP

from ipvssim import Kernel
from ipvssim.schedulers import Scheduler, register


@register
class TwoChoices(Scheduler):
    """Two candidates by hashes of the client's address and port; the less loaded one is picked."""

    NAME = "twochoices"
    RULE = "of two servers by hash, the one with fewer active connections"
    LOADS = True

    def pick(self, flow):
        """The server of a new connection, or None."""
        usable = [server for server in self.service.servers() if server.weight > 0 and not server.overloaded]
        if not usable:
            return None
        seed = flow.client + flow.client_port.to_bytes(2, "big")
        candidates = [usable[crc32(seed + salt) % len(usable)] for salt in (b"a", b"b")]
        return min(candidates, key=lambda server: server.active + server.inactive)


def spread(scheduler):
    """300 connections of seven clients on ten servers: how many the busiest server gets, and the least busy one."""
    servers = "\n".join(f"-a -t 192.0.2.1:80 -r 10.0.0.{host} -g" for host in range(11, 21))
    kernel = Kernel(f"-A -t 192.0.2.1:80 -s {scheduler}\n{servers}")
    got = Counter({f"10.0.0.{host}:80": 0 for host in range(11, 21)})
    for number in range(300):
        syn = IP(src=f"198.51.100.{10 + number % 7}", dst="192.0.2.1") / TCP(sport=1024 + number, dport=80)
        got[kernel.receive(bytes(syn)).explain()["server"]] += 1
    return max(got.values()), min(got.values())


for scheduler in ("sh", "twochoices", "wlc"):
    most, fewest = spread(scheduler)
    print(f"{scheduler:10} most {most:4} fewest {fewest:4}")
