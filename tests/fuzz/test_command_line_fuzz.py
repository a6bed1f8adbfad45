"""Random command lines, environments and contents of files: a command ends with a status and few lines, and no exception."""

from __future__ import annotations

import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ipvsnl.cli.main import execute
from ipvsnl.client import open as open_ipvs
from ipvsnl.tables.journal import Journal

STATUSES = frozenset((0, 1, 2, 130, 141, 143, 255))
MANY = int(os.environ.get("IPVSNL_FUZZ_EXAMPLES", "200"))
MOST_LINES = 40
"""Of standard error; a restore has two more for each refused line."""

WORDS = [
    "-A", "-a", "-D", "-d", "-E", "-e", "-C", "-L", "-R", "-S", "-Z", "-Ln", "-Sn", "-t", "-u", "-f", "-6", "-s", "-p",
    "-M", "-r", "-m", "-g", "-i", "-w", "-x", "-y", "-b", "-o", "-n", "-c", "--stats", "--rate", "--json", "--atomic",
    "--set", "--start-daemon", "--stop-daemon", "--mcast-interface", "--service", "--server", "--state", "--pe",
    "--tun-type", "--tun-port", "plan", "apply", "top", "completion", "services", "bash", "--once", "--prune", "--drain",
    "--interval", "-q", "-", "FILE", "10.0.0.1:80", "[2001:db8::1]:80", "10.0.0.1", "10.1.0.1:80", "5", "0", "-1",
    "99999999999", "nan", "1e308", "rr", "sh", "twos", "sip", "nope", "master", "eth0", "gue", "tcp", "–t", "192.0.2,1:80",
    "--", "-h", "--help", "-v", "#", "ipvsadm", "{}", "",
]  # fmt: skip
word = st.sampled_from(WORDS) | st.text(max_size=6)
plain = st.sampled_from(["-A -t 10.0.0.1:80 -s rr", "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -m -w 1", "-C", "-Ln"])
line = plain | st.lists(word, max_size=8).map(" ".join)
rules = st.lists(line, max_size=8).map("\n".join)
leaf = st.none() | st.booleans() | st.integers() | st.floats() | word
FIELDS = [
    "ipvsnl", "services", "servers", "timeouts", "protocol", "address", "port", "fwmark", "family", "scheduler", "flags",
    "persistence", "netmask", "tunnel", "weight", "version", "place", "operations", "source", "digest", "unknown",
]  # fmt: skip
document = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
)
WEB = {"protocol": "tcp", "address": "10.0.0.1", "port": 80}
service = st.dictionaries(st.sampled_from(FIELDS), document, max_size=2).map(lambda more: WEB | more)
table = st.lists(service, max_size=3).map(lambda services: {"ipvsnl": 1, "services": services})


def _dumped(whole: object) -> str:
    import json

    return json.dumps(whole)


READERS = [("plan", "FILE"), ("apply", "FILE"), ("apply", "--prune", "FILE"), ("-R",), ("-R", "--atomic")]
contents = rules | st.text(max_size=30) | (document | table).map(_dumped)
environment = st.fixed_dictionaries(
    {},
    optional={
        "IPVSNL_BACKEND": st.sampled_from(["", "bogus", "ctypes", "native"]),
        "IPVSSIM_SCHEDULERS": st.sampled_from(["", "nowhere.py", "FILE", "no.such.module", ","]),
        "XDG_STATE_HOME": st.sampled_from(["/dev/null", "/proc", "STATE"]),
        "NO_COLOR": st.just("1"),
    },
)


def _ended(args: list[str], stdin: str, file: str, journal: str | None, variables: dict[str, str], place: Path) -> str:
    """Standard error of a command in this process, which ended as it should."""
    path = place / "file.py"
    path.write_text(file, encoding="utf-8", errors="surrogatepass")
    put = {"FILE": str(path), "STATE": str(place)}
    with patch.dict(os.environ, {"XDG_STATE_HOME": str(place)} | {k: put.get(v, v) for k, v in variables.items()}):
        target = f"sim:{place / 'a.table'}"
        where = Journal(target).path
        if journal is not None and where is not None and where.is_relative_to(place):
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_text(journal, encoding="utf-8", errors="surrogatepass")
        out, errors = io.StringIO(), io.StringIO()
        words = [put.get(word, word) for word in args]
        status = execute(words, lambda: open_ipvs(target), io.StringIO(stdin), out, errors)
    assert status in STATUSES, (status, errors.getvalue())
    said = errors.getvalue()
    assert "Traceback" not in said
    assert said.count("\n") <= MOST_LINES + 3 * stdin.count("\n"), said
    return said


@settings(max_examples=MANY, deadline=None)
@given(
    args=st.lists(word, min_size=1, max_size=8), stdin=rules, file=contents, journal=st.none() | contents,
    variables=environment,
)  # fmt: skip
@example(["plan", "FILE"], "", '{"ipvsnl":1,"services":' + "[" * 100_000, None, {})
@example(["apply", "FILE"], "", '{"ipvsnl":1,"services":[{"protocol":"\ud800"}]}', None, {})
@example(["apply", "FILE"], "", "-A -t 10.0.0.1:80 -s rr", "null", {})
@example(["-A", "-t", "10.0.0.1:80", "-s", "nope"], "", "def x(:", None, {"IPVSSIM_SCHEDULERS": "FILE"})
@example(["-Ln"], "", "", None, {"IPVSNL_BACKEND": "bogus"})
@example(["top", "--interval", "nan"], "", "", None, {})
def test_whatever_is_asked_ends_in_words(
    args: list[str], stdin: str, file: str, journal: str | None, variables: dict[str, str]
) -> None:
    """Statuses are the known ones, and standard error has few lines."""
    if args[0] in ("export", "lab-kernel", "top") and "--once" not in args:
        args = ["top", "--once", *args[1:]]  # the others serve, or boot
    with TemporaryDirectory() as place:
        _ended(args, stdin, file, journal, variables, Path(place))


@settings(max_examples=MANY, deadline=None)
@given(
    command=st.sampled_from(READERS),
    file=contents, journal=st.none() | contents, variables=environment,
)  # fmt: skip
def test_whatever_a_file_holds_is_told(
    command: tuple[str, ...], file: str, journal: str | None, variables: dict[str, str]
) -> None:
    """The commands that read most, with contents that come close."""
    with TemporaryDirectory() as place:
        _ended(list(command), file, file, journal, variables, Path(place))
