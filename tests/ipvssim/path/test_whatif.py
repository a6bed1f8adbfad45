"""What would change a verdict: true of random tables and packets, and asked without a trace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipvssim import Kernel
from ipvssim.path.changes import read
from ipvssim.path.result import Result
from ipvssim.path.whatif import fate
from tests.ipvssim import worlds as w

VIRTUAL, CLIENTS = bytes((192, 0, 2, 1)), [bytes((198, 51, 100, last)) for last in (7, 8)]
SERVERS = [bytes((10, 0, 0, last)) for last in (10, 11, 12)]
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "sed", "nq", "fo", "ovf", "sh", "dh", "mh", "lblc", "lblcr")
SWITCHES = (
    "cache_bypass", "expire_nodest_conn", "expire_quiescent_template", "nat_icmp_send", "schedule_icmp", "sloppy_tcp",
)  # fmt: skip


@st.composite
def tables(draw: Any) -> Kernel:
    """A kernel with two services and tunables of any values."""
    lines = []
    for name in ("-t 192.0.2.1:80", "-u 192.0.2.1:53"):
        options = draw(st.sampled_from(("", "", " -p 60", " -o" if name[1] == "u" else "")))
        lines.append(f"-A {name} -s {draw(st.sampled_from(SCHEDULERS))}{options}")
        for last in draw(st.lists(st.sampled_from((10, 11, 12)), unique=True, max_size=3)):
            method = draw(st.sampled_from(("-m", "-m", "-g", "-i")))
            upper = draw(st.sampled_from(("", " -x 1")))
            lines.append(f"-a {name} -r 10.0.0.{last} {method} -w {draw(st.integers(0, 2))}{upper}")
    chosen = {name: draw(st.integers(0, 1)) for name in SWITCHES}
    chosen |= {"conn_reuse_mode": draw(st.integers(0, 2)), "drop_packet": draw(st.sampled_from((0, 0, 3)))}
    kernel = Kernel("\n".join(lines), sysctl={**chosen, "am_droprate": 2})
    kernel.director.explaining = True
    return kernel


def request(client: int, port: int, flags: int, *, udp: bool) -> bytes:
    if udp:
        return w.udp(port, 53, source=CLIENTS[client], target=VIRTUAL)
    return w.tcp(flags, port, 80, source=CLIENTS[client], target=VIRTUAL)


def answer(client: int, port: int, flags: int, *, udp: bool, last: int) -> bytes:
    if udp:
        return w.udp(53, port, source=SERVERS[last], target=CLIENTS[client])
    return w.tcp(flags, 80, port, source=SERVERS[last], target=CLIENTS[client])


FLAGS = st.sampled_from((w.SYN, w.SYN, w.ACK, w.FIN | w.ACK, w.RST))
STEPS = st.lists(
    st.one_of(
        st.builds(request, st.integers(0, 1), st.integers(1024, 1025), FLAGS, udp=st.booleans()),
        st.builds(answer, st.integers(0, 1), st.integers(1024, 1025), FLAGS, udp=st.booleans(), last=st.integers(0, 2)),
        st.builds(lambda *parts: w.icmp(3, 3, 0, answer(*parts, udp=False, last=0), source=CLIENTS[0], target=VIRTUAL),
                  st.integers(0, 1), st.integers(1024, 1025), FLAGS),
        st.sampled_from(("wait 1", "wait 70", "-d -t 192.0.2.1:80 -r 10.0.0.10", "-e -t 192.0.2.1:80 -r 10.0.0.11 -m -w 0")),
    ),
    min_size=1, max_size=10,
)  # fmt: skip


def played(kernel: Kernel, steps: Sequence[bytes | str]) -> None:
    for step in steps:
        if isinstance(step, bytes):
            kernel.receive(step)
        elif step.startswith("wait"):
            kernel.advance(float(step.split()[1]))
        else:
            kernel.ipvsadm(*step.split())


def flipped(name: str, value: str) -> str:
    return "0" if value != "0" else "3" if name == "drop_packet" else "1"


def decided(result: Result) -> tuple[object, ...]:
    """What a tunable that is named has decided: the fate, and whether a scheduler was asked."""
    return (*fate(result), result.choice is None)


@settings(max_examples=150, deadline=None)
@given(kernel=tables(), steps=STEPS, last=STEPS)
def test_who_is_named_is_the_decider(kernel: Kernel, steps: list[bytes | str], last: list[bytes | str]) -> None:
    """Each tunable in a reason, flipped, changes the packet's way; each server that is named for having weight 0 or being
    overloaded, where nobody is found, takes the packet once that is mended."""
    played(kernel, steps)
    packet = next((step for step in last if isinstance(step, bytes)), None)
    if packet is None:
        return
    result = kernel.why(packet).result
    for sentence in result.why:
        either = [(name, value) for name, value in re.findall(r"\b([a-z_]+)=(\d)", sentence) if name != "weight"]
        if not either:
            continue
        changes = [f"sysctl {name}={_other(name, value, sentence)}" for name, value in either]
        changed = kernel.why(packet, if_=changes).changed
        assert changed is not None and decided(changed) != decided(result), (sentence, changes)
    for host, said in re.findall(
        r"(10\.0\.0\.\d+:\d+) ((?:has weight 0|is overloaded|has \d+ active)[^,:]*)", _nobody(result)
    ):
        if " active" in said:
            continue
        changed = kernel.why(packet, if_=f"server {host} weight=1 upper=0").changed
        assert changed is not None and changed.server is not None and changed.server.endpoint == host, said


def _other(name: str, value: str, sentence: str) -> str:
    would = re.search(r"as (\d) would", sentence)
    return would[1] if name == "conn_reuse_mode" and would is not None else flipped(name, value)


def _nobody(result: Result) -> str:
    """Why nobody is found at all: lblcr takes one of all servers where it finds nobody in its set."""
    found = (sentence for sentence in result.why if "finds nobody" in sentence)
    return next((sentence for sentence in found if " takes " not in sentence), "")


@settings(max_examples=60, deadline=None)
@given(kernel=tables(), steps=STEPS, last=STEPS)
def test_asking_leaves_no_trace(kernel: Kernel, steps: list[bytes | str], last: list[bytes | str]) -> None:
    """The same packet has the same fate after any number of questions; the table and the connections stay."""
    played(kernel, steps)
    packet = next((step for step in last if isinstance(step, bytes)), None)
    if packet is None:
        return
    before = sorted(map(str, kernel.connections())), kernel.ipvsadm("-Ln", "--stats").stdout, dict(kernel.sysctl)
    foretold = kernel.why(packet)
    kernel.why(packet, if_="wait=100")
    assert (
        sorted(map(str, kernel.connections())),
        kernel.ipvsadm("-Ln", "--stats").stdout,
        dict(kernel.sysctl),
    ) == before
    result = kernel.receive(packet)
    assert (fate(result), result.why) == (fate(foretold.result), foretold.result.why)


RULES = "-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r 10.0.0.10 -m -w 1\n-a -t 192.0.2.1:80 -r 10.0.0.11 -m -w 0"


def test_asking_draws_no_chance() -> None:
    """A copy of a kernel has a chance of its own: twos, which draws, picks the same whether somebody asked or not."""
    rules = "-A -t 192.0.2.1:80 -s twos\n" + "".join(
        f"-a -t 192.0.2.1:80 -r 10.0.0.{last} -m\n" for last in (10, 11, 12)
    )
    asked, other = Kernel(rules, modules=["ip_vs_twos"]), Kernel(rules, modules=["ip_vs_twos"])
    for port in range(1024, 1064):
        packet = request(0, port, w.SYN, udp=False)
        asked.why(packet)
        assert fate(asked.receive(packet)) == fate(other.receive(packet))


def test_what_would_change_it_is_found() -> None:
    """A server of weight 0 that would win, and a tunable that decides, are named; what changes nothing is not."""
    kernel = Kernel(RULES)
    said = kernel.why(request(0, 1024, w.SYN, udp=False))
    assert [words for words, _ in said.would] == ["server 10.0.0.11:80 weight=1"]
    stray = kernel.why(request(0, 1024, w.ACK, udp=False))
    assert [words for words, _ in stray.would] == ["sysctl sloppy_tcp=1"]


def test_many_servers_that_take_nothing_are_counted() -> None:
    """Sixteen are tried; of the others there is a number."""
    lines = [f"-a -t 192.0.2.1:80 -r 10.0.1.{host} -m -w 0" for host in range(1, 21)]
    said = Kernel("\n".join(["-A -t 192.0.2.1:80 -s rr", *lines])).why(request(0, 1024, w.SYN, udp=False))
    assert len(said.would) == 16 and said.untried == 4
    assert "4 were not tried" in said.lines()[-1]


def test_several_changes_are_made_at_once() -> None:
    """And in their order: words of all of them are in the answer."""
    said = Kernel(RULES).why(
        request(0, 1024, w.ACK, udp=False), if_=["sysctl sloppy_tcp=1", "server 10.0.0.11 weight=9"]
    )
    assert said.asked == "sysctl sloppy_tcp=1 and server 10.0.0.11 weight=9"
    assert (
        said.changed is not None and said.changed.server is not None and said.changed.server.endpoint == "10.0.0.11:80"
    )


FAILOVER = (
    "-A -t 192.0.2.1:80 -s fo\n-a -t 192.0.2.1:80 -r 10.0.0.10 -m -w 2 -x 2\n-a -t 192.0.2.1:80 -r 10.0.0.11 -m -w 1"
)


@pytest.mark.parametrize(
    ("change", "connections", "before", "after"),
    [
        ("scheduler=rr", 0, 10, 11),
        ("upper=9", 2, 11, 10),
        ("wait=70", 2, 11, 10),
        ("server 10.0.0.11 weight=3", 0, 10, 11),
    ],
)
def test_each_kind_of_change_is_made(change: str, connections: int, before: int, after: int) -> None:
    """Scheduler, thresholds, time, weight: another server takes the packet."""
    kernel = Kernel(FAILOVER)
    for port in range(connections):
        kernel.receive(request(1, 1000 + port, w.SYN, udp=False))
    said = kernel.why(request(0, 1024, w.SYN, udp=False), if_=change)
    assert said.changed is not None and said.changed.server is not None and said.result.server is not None
    assert (said.result.server.address[3], said.changed.server.address[3]) == (before, after)


def test_a_mark_is_a_change() -> None:
    """The packet with another mark meets another service."""
    kernel = Kernel(f"{RULES}\n-A -f 7 -s rr\n-a -f 7 -r 10.0.0.12 -g")
    changed = kernel.why(request(0, 1024, w.SYN, udp=False), if_="mark=7").changed
    assert changed is not None and changed.server is not None and changed.server.endpoint.startswith("10.0.0.12")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ("", "no change"), ("weight", "weight"), ("weihgt=1", "weihgt=1"), ("weight=x", "'x'"), ("weight=-1", "'-1'"),
        ("server 10.0.0.10:80", "server ADDRESS"), ("server 10.0.0.99:80 weight=1", "10.0.0.99:80"),
        ("server 10.0.0.10:80 wight=1", "'wight'"), ("sysctl", "sysctl"), ("sysctl foo=1", "'foo'"),
        ("sysctl sloppy_tcp=x", "'x'"), ("scheduler=best", "'best'"), ("wait=-1", "'-1'"), ("wait=nan", "'nan'"),
        ("lower=5", "10.0.0.11:80"), ("mark=4294967296", "4294967296"), ("weight=1 upper=2", "upper=2"),
    ],
)  # fmt: skip
def test_a_change_that_is_none_is_refused_by_its_word(change: str, word: str) -> None:
    """One line, which names what is wrong."""
    with pytest.raises(ValueError, match=re.escape(word)) as refused:
        Kernel(RULES).why(request(0, 1024, w.SYN, udp=False), if_=change)
    assert "\n" not in str(refused.value)


def test_words_are_read_back() -> None:
    """A change's words are a change again: what is suggested can be asked."""
    for words, _ in Kernel(RULES).why(request(0, 1024, w.SYN, udp=False)).would:
        assert read(words).words == words
