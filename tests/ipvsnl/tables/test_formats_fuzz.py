"""Whatever a text is: a table, or one error that names the line; nothing else is raised, and time grows with the text."""

from __future__ import annotations

import _socket
import gc
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipvsnl.cli.convert import rules
from ipvsnl.tables.table import Table, TableError
from ipvsnl.tables.wanted import read_table
from ipvsnl.text.rules import RuleError

DATA = Path(__file__).parents[2] / "data"
LISTING = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn
TCP  192.0.2.1:80 sh (sh-port) persistent 300 mask 255.255.255.0
  -> 10.0.0.1:8000                Tunnel  1      0          0
UDP  [2001:db8::1]:53 rr persistent 9 pe sip ops
  -> [fd00::1]:53                 Local   1      0          0
FWM  7 IPv6 wlc
  -> [fd00::1]:0                  Route   1      0          0
"""
SEEDS = {
    "listing": LISTING,
    "proc": (DATA / "proc" / "ip_vs.txt").read_text(),
    **{
        name: (DATA / "keepalived" / f"{name}.conf").read_text()
        for name in ("tunnels", "groups", "definitions", "quotes")
    },
}
PIECES = st.sampled_from([
    "", " ", "\n", "{", "}", "\0", "0", "99999999999999999999", "-1", "[", "]", ":", "::", "@", "$A", "$A=$A\n", "${A}",
    "\\", '"', "'", "#", "!", "é", "²", "/", "-", "192.0.2.1", "fd00::1", "CB007101", "FWM", "persistent", "mask", "fwmark",
    "group", "\t", "\r", "\u2028", "\ud800", "TUN type gue port 9", "weight", "%", "~SEQ(A, 1, 9)", "include /etc/passwd\n",
])  # fmt: skip


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name server is asked."""

    def unknown(_: object) -> None:
        raise OSError

    monkeypatch.setattr(_socket, "gethostbyname_ex", unknown)


def taken(text: str) -> Table | None:
    """The table, or None for an error that names a place."""
    try:
        table = read_table(text)
    except RuleError as wrong:
        assert 1 <= wrong.number <= text.count("\n") + 1
        return None
    except TableError as wrong:
        assert wrong.numbers or str(wrong).startswith(("no JSON", "the document"))
        return None
    list(rules(table))
    return table


@pytest.mark.parametrize("seed", SEEDS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_text_is_a_table_or_an_error(seed: str, data: st.DataObject) -> None:
    """Pieces cut out, doubled, replaced: no exception but the two that callers know."""
    text = SEEDS[seed]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = min(len(text), at + data.draw(st.integers(0, 12)))
        text = text[:at] + data.draw(PIECES) + text[end:]
    taken(text)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.sampled_from("TCPUDFWM->[]{}:.0123456789 \n$@!#\"'\\=abvirtual_se"), max_size=200))
def test_any_text_is_a_table_or_an_error(text: str) -> None:
    """Characters that the formats are made of, in any order."""
    taken(text)
    taken("virtual_server " + text)
    taken("TCP  " + text)
    taken("TCP  CB007101:0050 " + text)


LONG = {
    "a line": lambda n: "TCP  192.0.2.1:80 rr " + "x " * n,
    "a name": lambda n: "TCP  " + "a" * n,
    "servers": lambda n: "TCP  192.0.2.1:80 rr\n" + "".join(
        f"  -> 10.{i >> 16}.{i >> 8 & 255}.{i & 255}:80 Masq 1 0 0\n" for i in range(n // 20)
    ),
    "proc": lambda n: "TCP  CB007101:0050 rr\n" + "".join(f"  -> 0A{i:06X}:0050 Masq 1 0 0\n" for i in range(n // 20)),
    "quotes": lambda n: "virtual_server " + "'\"" * n,
    "braces": lambda n: "a {\n" * (n // 4),
    "comments": lambda n: "! x\n" * (n // 4),
    "uses": lambda n: "$A=b\nvirtual_server " + "$A " * n,
    "dollars": lambda n: "virtual_server " + "$" * n,
    "open names": lambda n: "virtual_server " + "${" * n,
    "a definition": lambda n: "$A= \\\n" + "x \\\n" * n,
    "blanks": lambda n: "virtual_server" + " " * n + "x",
    "conditions": lambda n: "@x\n" * n,
}  # fmt: skip


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_time_grows_with_the_text(make: object) -> None:
    """Eight times as long takes some eight times as long, and not its square; of the processor's time, and without looking
    for garbage, so that neither the rest of the machine nor what other tests have left behind has a say in it."""
    assert callable(make)
    texts = make(20_000), make(160_000)
    best = [1e9, 1e9]
    gc.disable()
    try:
        for _ in range(3):
            for at, text in enumerate(texts):
                begin = time.process_time()
                taken(text)
                best[at] = min(best[at], time.process_time() - begin)
    finally:
        gc.enable()
    assert best[1] < 30 * max(best[0], 0.002)
