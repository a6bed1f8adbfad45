"""Persistence explained: why a client's second connection goes where its first one went, and when that ends."""

from scapy.layers.inet import IP, TCP

from ipvssim import Kernel

kernel = Kernel("""
-A -t 192.0.2.1:443 -s rr -p 300
-a -t 192.0.2.1:443 -r 10.0.0.10:443 -m
-a -t 192.0.2.1:443 -r 10.0.0.11:443 -m
""")


def connect(port, client="198.51.100.7"):
    """A new connection of a client: which server, and why."""
    told = kernel.receive(IP(src=client, dst="192.0.2.1") / TCP(sport=port, dport=443)).explain()
    print(f"{kernel.now:4.0f} s  {client}:{port} -> {told['server']}")


def templates():
    """Who is remembered: a template is a connection with the client's port 0."""
    found = [one for one in kernel.connections() if one.client_port == 0]
    for one in found:
        print(f"        remembered: {one.client} on {one.destination} for {one.expires} s")
    if not found:
        print("        nobody is remembered")


connect(1024)
connect(1025)  # rr alone would take the other server
connect(1024, client="198.51.100.8")
templates()
kernel.advance(200)
connect(1026)  # still the same server, and the time begins anew
kernel.advance(299)
templates()
kernel.advance(120)
templates()
connect(1024, client="198.51.100.9")
connect(1027)  # a client like any other now: rr takes the next server
