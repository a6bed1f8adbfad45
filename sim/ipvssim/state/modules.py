"""The kernel modules that a simulated kernel has, by their names.

ip_vs itself, the schedulers and the persistence engine that Debian builds for Linux 6.1 are always there: the kernel loads
those when a service asks for them. The others have to be named, as ``modprobe`` would name them.
"""

from __future__ import annotations

from collections.abc import Iterable

from ipvssim.schedulers._registry import KERNEL, UNBUILT

FTP, TWOS = "ip_vs_ftp", "ip_vs_twos"
WANTED = (FTP, TWOS)
"""Those that are there only where they are named."""
ALWAYS = ("ip_vs", *(f"ip_vs_{name}" for name in KERNEL if name not in UNBUILT), "ip_vs_pe_sip")
_MOST_PORTS = 8  # IP_VS_APP_MAX_PORTS, include/net/ip_vs.h


class Modules:
    """What was loaded. ``names`` are modules; behind ip_vs_ftp may stand its parameter, as in ``"ip_vs_ftp ports=21,2121"``.

    ValueError names what is no module of IPVS, or no value of the parameter.
    """

    __slots__ = ("ftp_ports", "given", "names")

    def __init__(self, names: Iterable[str] = ()) -> None:
        if isinstance(names, str):
            raise ValueError(f"{names!r}: modules are a list of names")
        self.given = tuple(map(str, names))
        """As they were named, with their parameters: what another namespace of the same kernel is made of."""
        self.ftp_ports: tuple[int, ...] = ()
        """The virtual ports that the FTP helper looks at; empty where it is not loaded."""
        loaded = set()
        for name in self.given:
            module, *parameters = name.replace("-", "_").split() or [""]
            if module not in ALWAYS and module not in WANTED:
                raise ValueError(f"{name!r}: no module of IPVS; there are {', '.join((*WANTED, *ALWAYS))}")
            if parameters and module != FTP:
                raise ValueError(f"{name!r}: {module} takes no parameter")
            if module == FTP:
                self.ftp_ports = _ports(parameters)
            loaded.add(module)
        self.names = tuple(sorted(loaded))
        """Those that were named, sorted."""

    def __contains__(self, name: str) -> bool:
        return name in self.names or name in ALWAYS


def _ports(parameters: list[str]) -> tuple[int, ...]:
    ports: tuple[int, ...] = (21,)
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        numbers = value.split(",")
        if key != "ports" or len(numbers) > _MOST_PORTS or not all(one.isascii() and one.isdigit() for one in numbers):
            raise ValueError(
                f"{parameter!r}: ip_vs_ftp takes ports=, with up to {_MOST_PORTS} numbers and commas between"
            )
        ports = tuple(int(one) for one in numbers)
        if max(ports) > 0xFFFF:
            raise ValueError(f"{parameter!r}: a port is 0 to 65535")
    return tuple(port for port in ports if port)
