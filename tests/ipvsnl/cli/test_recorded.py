"""Every recorded command line of ipvsadm 1.31, replayed: same output, same messages, same exit status."""

from __future__ import annotations

from typing import Any

import pytest

from ipvsnl.model import AF_INET6, Destination, DestinationStatus, Entry, Service, ServiceStatus, Statistics
from ipvsnl.procfs import read_connections
from ipvsnl.text.sorting import sort_entries, sort_servers

from .conftest import Names
from .fake import FakeIPVS
from .recordings import HELP, argument, command, groups, load

GROUPS = list(groups("grammar.json", "restore.json", "listings.json"))


@pytest.mark.parametrize("group", GROUPS, ids=[group["name"] for group in GROUPS])
def test_every_recorded_step_is_answered_to_the_byte(group: Any, names: Names) -> None:
    """Output, messages and exit status are ipvsadm's for each step of a recording, from an empty table on."""
    names.hosts.update(group.get("hosts", {}))
    ipvs = FakeIPVS()
    for number, step in enumerate(group["steps"]):
        args = [argument(word) for word in step["args"]]
        got = command(ipvs, *args, stdin=step.get("stdin", ""))
        stdout = step.get("stdout", "")
        shown = HELP if stdout == HELP and got[1].startswith("ipvsadm: ") else got[1]
        assert (got[0], shown, got[2]) == (step["rc"], stdout, step.get("stderr", "")), (number, step["args"])


REFUSALS = sorted(
    {
        (tuple(step["args"]), step["rc"], step["stderr"])
        for group in groups("grammar.json")
        for step in group["steps"]
        if step["rc"] == 2 and step.get("stderr")
    }
)


@pytest.mark.parametrize(("args", "status", "message"), REFUSALS, ids=[" ".join(row[0]) for row in REFUSALS])
def test_each_usage_refusal_has_its_message_and_status(args: tuple[str, ...], status: int, message: str) -> None:
    """What ipvsadm refuses without asking the kernel, we refuse without asking for a client."""

    def no_client(*_: object) -> FakeIPVS:
        raise AssertionError("a refused command line must not open the kernel")

    ipvs = FakeIPVS()
    ipvs.__class__ = type("Closed", (FakeIPVS,), {"__enter__": no_client})
    assert command(ipvs, *map(argument, args)) == (status, "", message)


def _tables(text: str) -> list[Entry]:
    """The entries of a listing, with nothing but their keys."""
    entries: list[tuple[Service, list[DestinationStatus]]] = []
    for line in text.splitlines()[3:]:
        words = line.split()
        if words[0] == "FWM":
            family = AF_INET6 if "IPv6" in words else 0
            entries.append((Service(fwmark=int(words[1]) % 2**32, family=family or 2), []))
            continue
        host, _, port = words[1].rpartition(":")
        address = host.strip("[]")
        if words[0] == "->":
            entries[-1][1].append(DestinationStatus(Destination(address, int(port)), 0, 0, 0, Statistics()))
        else:
            entries.append((Service(words[0].lower(), address, int(port)), []))
    return [Entry(ServiceStatus(service, Statistics()), tuple(servers)) for service, servers in entries]


@pytest.mark.parametrize("table", load("orders.json"), ids=lambda _: "table")
def test_the_order_is_ipvsadms_even_where_its_comparison_wraps(table: dict[str, str]) -> None:
    """From the kernel's order, the wrapped comparison and the C library's merge sort give ipvsadm's listing."""
    kernel, listed = _tables(table["kernel"]), _tables(table["sorted"])
    got = [Entry(entry.status, tuple(sort_servers(entry.destinations))) for entry in sort_entries(kernel)]
    assert got == listed


@pytest.mark.parametrize("case", load("numbers.json"), ids=lambda case: f"{case['values'][0]} {' '.join(case['args'])}")
def test_numbers_are_shortened_as_ipvsadm_shortens_them(case: Any) -> None:
    """K, M, G, T and --exact, columns that overflow, and the 32 bits that real servers' counters have."""
    ipvs = FakeIPVS()
    for line in (
        "-A -t 10.0.0.1:80",
        "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m",
        "-A -t [fd00::1]:80",
        "-a -t [fd00::1]:80 -r [fd00:1111:2222:3333:4444:5555:6666:7777]:65535 -m",
        "-A -f 4 -6",
    ):
        assert command(ipvs, *line.split()) == (0, "", "")
    ipvs.statistics = Statistics(*case["values"])
    assert command(ipvs, *case["args"]) == (0, case["stdout"], "")


def test_connections_are_listed_as_ipvsadm_lists_them() -> None:
    """Times, names, templates, and the persistence engine's columns for the rows that have one."""
    recorded = load("connections.json")
    ipvs = FakeIPVS()
    ipvs.lines = list(read_connections(recorded.pop("cat /proc/net/ip_vs_conn").splitlines()))
    for line, stdout in recorded.items():
        assert command(ipvs, *line.split()[1:]) == (0, stdout, ""), line
