"""A failure drill: a server dies. Which clients go elsewhere, and would another scheduler have kept more of them?"""

from scapy.layers.inet import IP, TCP

from ipvssim import Kernel

CLIENTS = [f"198.51.{net}.{host}" for net in (0, 1) for host in range(1, 151)]
SERVERS = [f"10.0.0.{host}" for host in range(11, 21)]


def servers_of(kernel, port):
    """Which server each client's next connection gets."""
    found = {}
    for client in CLIENTS:
        syn = IP(src=client, dst="192.0.2.1") / TCP(sport=port, dport=80)
        found[client] = kernel.receive(bytes(syn)).explain()["server"]
    return found


for scheduler in ("rr", "sh", "mh"):
    rules = [f"-A -t 192.0.2.1:80 -s {scheduler}", *(f"-a -t 192.0.2.1:80 -r {server} -g" for server in SERVERS)]
    kernel = Kernel("\n".join(rules))
    before = servers_of(kernel, port=1024)
    kernel.load("-d -t 192.0.2.1:80 -r 10.0.0.15")
    after = servers_of(kernel, port=1025)
    alive = [client for client in CLIENTS if before[client] != "10.0.0.15:80"]
    moved = sum(before[client] != after[client] for client in alive)
    print(f"{scheduler}: {len(CLIENTS) - len(alive)} clients had to move, {moved} of the other {len(alive)} moved, too")
