"""Which server does each flow of a capture get? The capture is played to a simulated director, in the capture's own time."""

from pathlib import Path

from scapy.layers.inet import IP, TCP
from scapy.utils import wrpcap

from ipvssim import Kernel
from ipvssim.doors.capture import play

# A capture of three clients. Yours comes from tcpdump.
packets = []
for second in range(6):
    packet = IP(src=f"198.51.100.{10 + second % 3}", dst="192.0.2.1") / TCP(sport=1024 + second, dport=80)
    packet.time = 1700000000 + second
    packets.append(packet)
wrpcap("clients.pcap", packets)

kernel = Kernel("""
-A -t 192.0.2.1:80 -s sh
-a -t 192.0.2.1:80 -r 10.0.0.10:80 -m
-a -t 192.0.2.1:80 -r 10.0.0.11:80 -m
-a -t 192.0.2.1:80 -r 10.0.0.12:80 -m
""")
flows = {}


def note(result):
    """Called with what became of each packet."""
    told = result.explain()
    flows[told["packet"]] = told.get("server", told["reason"])


play(kernel.director, Path("clients.pcap"), told=note)
for flow, server in flows.items():
    print(flow, "gets", server)
