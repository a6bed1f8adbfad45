"""Names that do not hang on the machine's files or name servers."""

from __future__ import annotations

import _socket

import pytest

SERVICES = {
    ("tcp", "echo"): 7, ("tcp", "ssh"): 22, ("tcp", "smtp"): 25, ("tcp", "domain"): 53, ("tcp", "http"): 80,
    ("tcp", "snmp"): 161, ("tcp", "https"): 443, ("tcp", "sip"): 5060, ("tcp", "sip-tls"): 5061,
    ("tcp", "http-alt"): 8080, ("udp", "echo"): 7, ("udp", "domain"): 53, ("udp", "tftp"): 69, ("udp", "snmp"): 161,
    ("udp", "https"): 443, ("udp", "sip"): 5060, ("udp", "sip-tls"): 5061,
}  # fmt: skip


class Names:
    """/etc/hosts and /etc/services as the recording machine had them."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[str]] = {"127.0.0.1": ["localhost"]}
        self.asked: list[str] = []

    def forward(self, name: bytes) -> tuple[str, list[str], list[str]]:
        text = name.decode("utf-8", "surrogateescape").lower()
        found = [address for address, names in self.hosts.items() if text in names and ":" not in address]
        if not found:
            raise OSError("no such host")
        return text, [], found

    def reverse(self, address: str) -> tuple[str, list[str], list[str]]:
        self.asked.append(address)
        if address not in self.hosts:
            raise OSError("no such address")
        return self.hosts[address][0], [], [address]

    def port(self, name: str, protocol: str) -> int:
        if (protocol, name) not in SERVICES:
            raise OSError("no such service")
        return SERVICES[protocol, name]

    def service(self, port: int, protocol: str) -> str:
        for (of, name), number in SERVICES.items():
            if (of, number) == (protocol, port):
                return name
        raise OSError("no such port")


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr(_socket, "gethostbyname_ex", found.forward)
    monkeypatch.setattr(_socket, "gethostbyaddr", found.reverse)
    monkeypatch.setattr(_socket, "getservbyname", found.port)
    monkeypatch.setattr(_socket, "getservbyport", found.service)
    return found
