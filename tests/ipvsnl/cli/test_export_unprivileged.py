"""``export`` where netlink refuses: what the files of /proc/net tell, and nothing that nobody knows."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator

import pytest

from ipvsnl.cli.main import execute
from ipvsnl.client import IPVS
from ipvsnl.refusals import KernelError
from ipvssim import Kernel
from tests.ipvssim.worlds import tcp

pytest.importorskip("prometheus_client")
RULES = (
    "-A -t 203.0.113.1:80 -s wrr -p 60\n-a -t 203.0.113.1:80 -r 10.0.0.1:8080 -m -w 3\n-A -f 7 -6 -s rr\n"
    "-a -f 7 -6 -r [fd00::1]:0 -i -w 2\n-A -f 8 -s rr\n"
)


def exported(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, *words: str, refused: bool) -> tuple[str, str]:
    """The metrics and what is said; ``refused``: as a process without CAP_NET_ADMIN gets them."""

    def refuse(_: IPVS) -> object:
        raise KernelError(errno.EPERM, 15)

    out, err = io.StringIO(), io.StringIO()
    with monkeypatch.context() as unprivileged:
        if refused:
            unprivileged.setattr(IPVS, "info", refuse)
            unprivileged.setattr(IPVS, "snapshot", refuse)
        assert execute(["export", *words], kernel.connect, io.StringIO(), out, err) == 0
    return out.getvalue(), err.getvalue()


@pytest.fixture
def kernel() -> Kernel:
    """A table, and three connections of its past."""
    kernel = Kernel(RULES)
    for port in (1000, 1001, 1002):
        kernel.receive(tcp(port=port))
    kernel.advance(4)
    return kernel


def samples(text: str) -> Iterator[str]:
    return (line for line in text.splitlines() if line[0] != "#")


def test_what_the_files_tell_is_the_same(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, connections, servers and the node's totals come of /proc, too: the same labels, the same values."""
    whole = set(samples(exported(kernel, monkeypatch, refused=False)[0]))
    part = set(samples(exported(kernel, monkeypatch, refused=True)[0]))
    assert part - whole == {"ipvs_complete 0.0"}
    assert {line.partition("{")[0].partition(" ")[0] for line in part} == {
        "ipvs_up", "ipvs_complete", "ipvs_connection_table_size", "ipvs_service_servers", "ipvs_server_weight",
        "ipvs_server_active_connections", "ipvs_server_inactive_connections", "ipvs_node_connections_total",
        "ipvs_node_incoming_packets_total", "ipvs_node_incoming_bytes_total", "ipvs_node_outgoing_packets_total",
        "ipvs_node_outgoing_bytes_total",
    }  # fmt: skip
    assert "ipvs_node_connections_total 3.0" in part


def test_what_is_not_known_is_no_zero(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters of services and servers are left out rather than 0, and standard error says why."""
    text, said = exported(kernel, monkeypatch, refused=True)
    assert "ipvs_service_connections" not in text and "ipvs_server_persistent" not in text
    assert said.startswith("ipvsnl export: read from /proc/net/ip_vs") and said.count("\n") == 1


def test_series_tell_scheduler_and_forwarding_method(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each service's series has the label scheduler, each real server's forward, too; a mark's family is its servers'."""
    for refused in (False, True):
        text = exported(kernel, monkeypatch, refused=refused)[0]
        servers = [line for line in samples(text) if line.startswith("ipvs_server_weight{")]
        assert any('forward="masq"' in one and 'scheduler="wrr"' in one for one in servers)
        assert any('forward="tunnel"' in one and 'fwmark="7"' in one and 'family="ipv6"' in one for one in servers)
        assert all('scheduler="' in one for one in samples(text) if one.startswith("ipvs_service_"))


def test_dashboards_of_node_exporter_need_no_root(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """node_exporter reads files, and so do its names here."""
    whole, part = (
        {line for line in samples(exported(kernel, monkeypatch, "--node-names", refused=refused)[0]) if "node_ipvs" in line}
        for refused in (False, True)
    )  # fmt: skip
    assert whole == part and len(part) == 5 + 3 * 2


def test_another_refusal_is_a_refusal(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the missing privilege has another way; whatever else fails is told as it is."""

    def fail(_: IPVS) -> object:
        raise KernelError(errno.ENOMEM, 15)

    monkeypatch.setattr(IPVS, "info", fail)
    out, err = io.StringIO(), io.StringIO()
    assert execute(["export"], kernel.connect, io.StringIO(), out, err) == 1
    assert "ipvs_up 0.0" in out.getvalue() and err.getvalue()
