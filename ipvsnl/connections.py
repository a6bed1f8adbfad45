"""The connection table as values, from the text of ``/proc/net/ip_vs_conn`` (ip_vs_conn.c, Linux 6.1).

The file writes addresses in hexadecimal: IPv4 as one number, IPv6 as eight groups of four digits. The columns of the two
families differ in width and are told apart by blanks alone.
"""

from __future__ import annotations

from ipvsnl import address as addresses
from ipvsnl._value import Value, value
from ipvsnl.consts import AF_INET, AF_INET6
from ipvsnl.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ipvsnl.model import Destination, Service


@value
class Connection(Value):
    """One connection, or a persistence template (client port 0).

    ``expires`` is in whole seconds. A template of a firewall mark shows the mark as its virtual address, and protocol IP.
    """

    protocol: str
    client: str
    client_port: int
    virtual: str
    virtual_port: int
    destination: str
    destination_port: int
    state: str
    expires: int
    persistence_engine: str = ""
    persistence_data: str = ""


@value
class Filter(Value):
    """Which connections are meant: None is any. Addresses are in their one spelling, ``protocol`` is in capitals."""

    protocol: str | None = None
    virtual: str | None = None
    virtual_port: int | None = None
    destination: str | None = None
    destination_port: int | None = None
    state: str | None = None

    def __call__(self, connections: Iterable[Connection]) -> Iterator[Connection]:
        """Those of ``connections`` that are meant, streaming."""
        wanted = [(name, want) for name in self.__fields__ if (want := getattr(self, name)) is not None]
        for one in connections:
            if all(getattr(one, name) == want for name, want in wanted):
                yield one


def read_connections(lines: Iterable[str]) -> Iterator[Connection]:
    """The connections of the file's lines, streaming; DecodeError names a line that is none."""
    for number, line in enumerate(lines, start=1):
        if number == 1:
            continue
        columns = line.split()
        try:
            protocol, client, cport, virtual, vport, destination, dport, state, expires = columns[:9]
            yield Connection(
                protocol, _address(client), int(cport, 16), _address(virtual), int(vport, 16), _address(destination),
                int(dport, 16), state, int(expires), *columns[9:11],
            )  # fmt: skip
        except ValueError:
            raise DecodeError(f"line {number} of ip_vs_conn is no connection: {line.rstrip()!r}") from None


def chosen_ones(
    connections: Iterable[Connection], service: Service | None, server: Destination | None, state: str | None
) -> Iterator[Connection]:
    """Those of a service, of a real server, in a state; None is any. ValueError for a service with a firewall mark."""
    wanted: dict[str, str | int] = {} if state is None else {"state": state}
    if service is not None:
        if service.fwmark:
            raise ValueError(f"{service}: connections do not tell the firewall mark that they came by")
        wanted |= {"protocol": str(service.protocol).upper(), "virtual": service.address, "virtual_port": service.port}
    if server is not None:
        wanted |= {"destination": server.address, "destination_port": server.port}
    return Filter(**wanted)(connections)  # type: ignore[arg-type]


def _address(text: str) -> str:
    if len(text) == 8:
        return addresses.unpack(AF_INET, bytes.fromhex(text))
    return addresses.unpack(AF_INET6, bytes.fromhex(text.replace(":", "")))
