"""Load services and servers out of a database: a row a server, thousands in a few system calls."""

import sqlite3

import ipvsnl

database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE servers (vip, port INTEGER, scheduler, address, weight INTEGER)")
database.executemany(
    "INSERT INTO servers VALUES (?, ?, ?, ?, ?)",
    [
        (f"192.0.2.{shop}", 443, "wrr", f"10.{shop}.0.{host}", 1 + host % 3)
        for shop in range(1, 101)
        for host in range(1, 51)
    ],
)


def table(rows):
    """Pairs of a service and its servers, as `load` takes them; the rows come sorted by service."""
    service, servers = None, []
    for vip, port, scheduler, address, weight in rows:
        if service is None or (service.address, service.port) != (vip, port):
            if service is not None:
                yield service, servers
            service, servers = ipvsnl.Service("tcp", vip, port, scheduler=scheduler), []
        servers.append(ipvsnl.Destination(address, port, "masq", weight=weight))
    if service is not None:
        yield service, servers


with ipvsnl.open("sim::memory:") as ipvs:  # ipvsnl.open() for the kernel's table
    report = ipvs.load(table(database.execute("SELECT * FROM servers ORDER BY vip, port")))
    print(report)
    print(ipvs.snapshot())
