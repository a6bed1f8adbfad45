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


def _address(text: str) -> str:
    if len(text) == 8:
        return addresses.unpack(AF_INET, bytes.fromhex(text))
    return addresses.unpack(AF_INET6, bytes.fromhex(text.replace(":", "")))
