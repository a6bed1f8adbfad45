"""Reports about the programs that drive IPVS: many rules, listings, what a refusal means."""

from __future__ import annotations

import pytest

from ipvsnl.tables.wanted import read_table
from ipvssim import Kernel
from tests.reports.site import ONE, TWO, WEB, Site, farm

MANY = "\n".join(
    farm(f"-t 10.{96 + n // 65536}.{n // 256 % 256}.{n % 256}:443 -s rr", f"10.200.{n // 256}.{n % 256}:443")
    for n in range(4000)
)


def test_one_endpoint_more_is_one_change() -> None:
    """Among 4,000 services a plan finds the one server that differs, and apply sends that alone."""
    kernel = Kernel(MANY)
    wanted = f"{MANY}\n-a -t 10.96.0.7:443 -r 10.201.0.1:443 -m\n"
    done = kernel.ipvsnl("apply", "-", stdin=wanted)
    assert done.stdout.splitlines() == ["+ -a -t 10.96.0.7:443 -r 10.201.0.1:443 -m -w 1", "1 server added"]


def test_the_whole_table_is_one_question() -> None:
    """A snapshot of 4,000 services is complete, with each real server's connections and counters beside it."""
    kernel = Kernel(MANY)
    found = list(kernel.snapshot())
    assert len(found) == 4000 and all(len(entry.destinations) == 1 for entry in found)
    assert found[0].destinations[0].statistics.conns == 0


def test_a_large_listing_is_whole() -> None:
    """The listing of 20,000 services has every one of them."""
    rules = "\n".join(f"-A -t 10.{n // 65536}.{n // 256 % 256}.{n % 256}:443 -s rr" for n in range(1, 20001))
    kernel = Kernel(rules)
    assert kernel.ipvsnl("-Ln").stdout.count("TCP  ") == 20000


def test_every_load_is_timed_by_messages_not_by_rules() -> None:
    """8,000 rules are loaded with some requests a send, not one each: what costs is the conversation."""
    kernel = Kernel()
    with kernel.connect() as ipvs:
        sent = 0
        link = ipvs._conversation.link
        original = link.send

        def counted(data: bytes) -> None:
            nonlocal sent
            sent += 1
            original(data)

        link.send = counted  # type: ignore[method-assign]
        ipvs.load(MANY)
    assert len(kernel.snapshot()) == 4000 and 0 < sent < 100


def test_a_line_that_another_program_wrote_is_named() -> None:
    """A save with "(null)" in place of a forwarding method is refused with its line and its word."""
    done = Kernel().ipvsnl("-R", stdin=f"-A -t {WEB} -s rr\n-a -t {WEB} -r {ONE}:80 (null) -w 100\n")
    assert done.status != 0 and "<stdin>:2:" in done.stderr and "(null)" in done.stderr


@pytest.mark.parametrize(("rule", "cause"), [
    (f"-a -t {WEB} -r 224.0.0.1:80 -m", "not a unicast address"),
    (f"-a -t {WEB} -r {ONE}:80 -m -x 5 -y 9", "threshold"),
    ("-A -t 192.0.2.9:80 -s nosuch", "scheduler"),
])  # fmt: skip
def test_an_invalid_operation_is_explained(rule: str, cause: str) -> None:
    """ "Invalid operation" is followed by the likely cause, which the kernel does not tell."""
    kernel = Kernel(f"-A -t {WEB} -s rr")
    done = kernel.ipvsnl(*rule.split())
    assert done.status != 0 and cause in done.stderr


def test_a_service_that_stands_twice_counts_once() -> None:
    """keepalived keeps the first of two virtual servers of one key, with the servers of both; a note names the second."""
    block = "virtual_server 192.0.2.1 80 {{\n protocol TCP\n lb_algo {}\n real_server {} 80 {{\n }}\n}}\n"
    table = read_table(block.format("rr", ONE) + block.format("wrr", TWO))
    (service,) = table.services.values()
    assert service.scheduler == "rr" and len(next(iter(table.servers.values()))) == 2
    assert any("is there already" in note and note.startswith("line 7") for note in table.notes)


def test_a_pasted_listing_of_a_report_becomes_a_director() -> None:
    """What people paste into a report is read as it stands, and what it does not tell is said."""
    pasted = (
        "$ ipvsadm -Ln | grep -A2 10.233.0.1\nTCP  10.233.0.1:443 rr\n"
        "  -> 192.168.0.1:6443           Masq    1      13         0\n"
        "  -> 192.168.0.2:6443           Masq    1      2          0\n"
    )
    kernel = Kernel()
    done = kernel.ipvsnl("apply", "-", stdin=pasted)
    assert done.status == 0 and "does not tell" in done.stderr
    assert Site("").kernel.ipvsadm("-Ln").status == 0
    assert kernel.ipvsadm("-Ln").stdout.count("Masq    1") == 2
