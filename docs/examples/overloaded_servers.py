"""Find servers that have more than twice their fair share. The table is read as columns: no value is made for a server."""

from scapy.layers.inet import IP, TCP

from ipvsnl.address import unpack
from ipvsnl.consts import AF_INET
from ipvssim import Kernel

# A table with some traffic on it. On a director: `with ipvsnl.open() as ipvs`.
kernel = Kernel("-A -t 192.0.2.1:80 -s sh\n" + "\n".join(f"-a -t 192.0.2.1:80 -r 10.0.0.{h} -g" for h in range(11, 19)))
for number in range(400):  # every second connection comes from one big client
    client = "203.0.113.99" if number % 2 else f"198.51.100.{20 + number // 2}"
    kernel.receive(bytes(IP(src=client, dst="192.0.2.1") / TCP(sport=1024 + number, dport=80)))

with kernel.connect() as ipvs:
    snapshot = ipvs.snapshot()
columns = snapshot.columns()
active, inactive = columns.servers["active_conns"], columns.servers["inact_conns"]
weights, addresses = columns.servers["weight"], columns.servers.bytes_of("addr")
row = 0
for index, count in enumerate(columns.counts):  # how many servers belong to each service
    rows = range(row, row + count)
    row += count
    total, weight = sum(active[n] + inactive[n] for n in rows), sum(weights[n] for n in rows)
    print(snapshot.entry(index).service, "has", total, "connections on", count, "servers")
    for n in rows:
        fair = total * weights[n] / weight
        if active[n] + inactive[n] > 2 * fair:
            print(f"  {unpack(AF_INET, addresses[n])} has {active[n] + inactive[n]}, its share is {fair:.0f}")
