"""What -S writes is read back as the same table, whatever the kernel holds; reload and single commands reach every rule."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipvsnl
from ipvsnl.cli.dispatch import run
from ipvsnl.cli.main import execute
from ipvsnl.model import Destination, Service
from ipvsnl.tables.wanted import read_table
from ipvssim import Kernel
from tests.ipvsnl.random_tables import Tables, meaning, tables

BEYOND: dict[str, tuple[Service, Destination | None]] = {
    "a tunnel's port": (Service("tcp", "192.0.2.1", 80), Destination("10.0.0.1", 8080, "tunnel")),
    "a gue tunnel's port": (
        Service("tcp", "192.0.2.1", 80), Destination("fd00::1", 8080, "tunnel", 1, 9, 4, "gue", 6080, 3),
    ),
    "a route's port": (Service("udp", "192.0.2.1", 53), Destination("10.0.0.1", 0, "route")),
    "a local server": (Service("tcp", "192.0.2.1", 80), Destination("127.0.0.1", 8080, "local")),
    "a bypass": (Service("tcp", "192.0.2.1", 80), Destination("10.0.0.1", 80, "bypass", 0)),
    "a method without a word": (Service("tcp", "192.0.2.1", 80), Destination("10.0.0.1", 80, 5)),
    "a threshold from 2^31 on": (Service("tcp", "192.0.2.1", 80), Destination("10.0.0.1", 80, "masq", 1, 2**32 - 1, 2**31)),
    "persistence of 0": (Service("tcp", "192.0.2.1", 80, persistence=0), None),
    "persistence of years": (Service("tcp", "192.0.2.1", 80, persistence=40_000_000), Destination("10.0.0.1", 80, "masq")),
    "one packet of TCP": (Service("tcp", "192.0.2.1", 80, one_packet=True), None),
    "port 0": (Service("tcp", "192.0.2.1", 0), Destination("10.0.0.1", 80, "masq")),
    "nameless flags": (Service("tcp", "192.0.2.1", 80, flags=0x48), None),
    "another protocol": (Service(47, "192.0.2.1", 80), Destination("10.0.0.1", 80, "masq")),
    "another protocol of IPv6": (Service(255, "2001:db8::1", 80), Destination("fd00::1", 81, "tunnel")),
    "a nameless flag": (Service("tcp", "192.0.2.1", 80, scheduler="sh", flags=0x40), None),
}  # fmt: skip


def saved(kernel: Kernel, prog: str = "ipvsnl") -> str:
    out = io.StringIO()
    run(["-Sn"], client_factory=kernel.connect, stdin=io.StringIO(), stdout=out, stderr=out, prog=prog)
    return out.getvalue()


def holds(table: Tables) -> Kernel:
    kernel = Kernel()
    with kernel.connect() as ipvs:
        for service, servers in table.items():
            ipvs.add_service(service)
            for server in servers:
                ipvs.add_server(service, server)
    return kernel


@settings(deadline=None)
@given(tables(), st.booleans())
def test_a_plan_of_what_was_saved_is_empty(table: Tables, values: bool) -> None:
    """plan(read(save(table))) with prune is empty, and so is a restore of it; in C and in Python."""
    kernel = holds(table)
    with kernel.connect() as ipvs:
        if values:
            from ipvsnl.text.compat import OURS
            from ipvsnl.text.saving import saved as lines

            text = "".join(lines(list(ipvs.snapshot()), frozenset(("numeric",)), OURS))
            assert text == saved(kernel)
        text = saved(kernel)
        assert not ipvs.plan(read_table(text), prune=True)
    with Kernel().connect() as other:
        other.load(text)
        assert meaning(other.snapshot()) == meaning(table)


@pytest.mark.parametrize(("service", "server"), BEYOND.values(), ids=BEYOND)
def test_what_ipvsadm_cannot_say(service: Service, server: Destination | None) -> None:
    """Each kind of rule that netlink alone makes: saved, planned, restored, reloaded, all or nothing, and the same."""
    table = {service: [server] if server else []}
    kernel = holds(table)
    text = saved(kernel)
    with kernel.connect() as ipvs:
        assert not ipvs.plan(read_table(text), prune=True)
        ipvs.reload(text)
        assert meaning(ipvs.snapshot()) == meaning(table)
    for words in (["-R"], ["-R", "--atomic"], ["apply", "-"]):
        other, out = Kernel(), io.StringIO()
        assert execute(words, other.connect, io.StringIO(text), out, out) == 0, out.getvalue()
        with other.connect() as ipvs:
            assert meaning(ipvs.snapshot()) == meaning(table)
    assert "--as-is" not in saved(kernel, "ipvsadm") and "--forward" not in saved(kernel, "ipvsadm")


def test_single_commands_reach_a_server_with_another_port() -> None:
    """-e and -d with --as-is find it; without, -e means the service's port."""
    kernel = holds({Service("tcp", "192.0.2.1", 80): [Destination("10.0.0.1", 8080, "tunnel")]})
    out = io.StringIO()

    def command(*words: str) -> int:
        return execute(list(words), kernel.connect, io.StringIO(), out, out)

    named = ("-t", "192.0.2.1:80", "-r", "10.0.0.1:8080")
    assert command("-e", *named, "-i", "-w", "7") == 255
    assert command("-e", *named, "-i", "-w", "7", "--as-is") == 0
    assert "-w 7" in saved(kernel)
    assert command("-d", *named) == 0
    assert command("-D", "-t", "192.0.2.1:80", "--as-is") == 2


def test_an_interrupted_apply_names_such_rules_in_its_journal() -> None:
    """The text of an operation is read back as the same operation, so that it can be completed."""
    service, server = Service("tcp", "192.0.2.1", 80), Destination("10.0.0.1", 8080, "tunnel")
    with Kernel().connect() as ipvs:
        plan = ipvs.plan({service: [server]})
    table = ipvsnl.read_table("\n".join(map(str, plan.operations)))
    assert list(table.servers[service.key].values()) == [server]
