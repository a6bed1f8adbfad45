"""Rule text: both ways, both readers, every sample file."""

from __future__ import annotations

import _socket
import lzma
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipvsnl.model import Destination, DestinationStatus, Entry, Service, ServiceStatus, Statistics
from ipvsnl.text import rules
from ipvsnl.text.grammar import read_rules
from ipvssim import Kernel
from tests.places import DATA

FILES = DATA / "rules"


@pytest.fixture(autouse=True, scope="module")
def no_name_servers() -> Iterator[None]:
    """Generated words are no hosts: nobody is asked."""

    def unknown(*_: object) -> object:
        raise OSError("no such host")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_socket, "gethostbyname_ex", unknown)
        yield


def entries(lines: list[str]) -> list[Entry]:
    """The table that the rules make, in their order."""
    made: dict[object, tuple[Service, list[DestinationStatus]]] = {}
    for rule in read_rules(lines):
        if rule.destination is None:
            made[rule.service.key] = (rule.service, [])
        else:
            made[rule.service.key][1].append(DestinationStatus(rule.destination, 0, 0, 0, Statistics()))
    return [Entry(ServiceStatus(service, Statistics()), tuple(servers)) for service, servers in made.values()]


@pytest.mark.parametrize("name", ["guide", "mixed", "cluster-10k", "farm-1x4000"])
def test_a_saved_file_reads_and_writes_back_to_itself(name: str) -> None:
    """Restored and saved again, a file is the same."""
    text = (FILES / f"{name}.rules").read_text()
    lines = text.splitlines(keepends=True)
    assert "".join(f"{line}\n" for line in rules.format_rules(entries(lines))) == text


def test_the_file_of_100_000_rules_is_plain_throughout() -> None:
    """Nothing of a large saved table takes the slow way."""
    read = rules.PlainReader()
    with lzma.open(FILES / "cluster-100k.rules.xz", "rt") as lines:
        assert all(read(line) is not None for line in lines)


PORTS = st.one_of(st.integers(0, 65535), st.sampled_from([0, 53, 80, 65535]))
ADDRESSES = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda a: f"[{a}]"))
WORDS = st.one_of(
    st.sampled_from(
        """-A -a -E -e -D -d -t -u -f -r -s -p -M -m -g -i -w -x -y -o -b -6 -n -L -R -h -- - # --pe --sctp-service
        --tun-type ipip gue gre --tun-port --tun-csum 80 0 wlc rr sh sh-port 255.255.255.0 10.0.0.1:80 [::1]:80
        10.0.0.1 , x 10.1:+80 10.0.0.1:080 -w=5 -At -p=20""".split()  # noqa: SIM905
    ),
    st.builds(lambda address, port: f"{address}:{port}", ADDRESSES, PORTS),
    st.text("-abtfrwx.:[]0123456789é\0\v\f\u2003 ٣", max_size=8),
)
LINES = st.lists(WORDS, max_size=10).map(" ".join)

SERVER_LINES = st.builds(
    "-a {} {}:{} -r {}:{} {} -w {}{}".format,
    st.sampled_from(["-t", "-u", "--sctp-service", "-f"]), ADDRESSES, PORTS, ADDRESSES, PORTS,
    st.sampled_from(["-m", "-g", "-i"]), st.one_of(st.integers(-1, 2**33), st.sampled_from(["x", "", "+1", "01", "٣"])),
    st.sampled_from(["", " --tun-type ipip", " --tun-type gre", "\r", " ", "\n", " -x 5"]),
)  # fmt: skip
SERVICE_LINES = st.builds(
    "-A {} {}:{} -s {}{}".format,
    st.sampled_from(["-t", "-u", "--sctp-service"]), ADDRESSES, PORTS,
    st.sampled_from(["rr", "wlc", "averyveryverylongname", ""]),
    st.sampled_from(["", " -p 5", " -p 0", " -p 2678401", " -p", " -p 007", " -o", "\n", " -p x"]),
)  # fmt: skip


def _slow(line: str) -> list[rules.Rule] | None:
    """What the grammar alone makes of a line."""
    words = [word for word in rules.split(line) if word != "ipvsadm"]
    padded = " " + "  ".join(words)  # two blanks: never plain
    try:
        return list(read_rules([padded]))
    except rules.RuleError:
        return None


@given(st.one_of(SERVER_LINES, SERVICE_LINES, LINES))
def test_the_plain_reader_means_what_the_grammar_means(line: str) -> None:
    """The fast path reads only lines that the grammar reads, and as the same rule."""
    plain = rules.PlainReader()(line)
    if plain is not None:
        assert _slow(line) == [rules.Rule(1, *plain)]


@given(LINES)
def test_any_line_is_a_rule_or_a_rule_error(line: str) -> None:
    """Whatever the text, nothing else escapes, and the error names the line."""
    try:
        list(read_rules(["-A -t 10.0.0.1:80", line]))
    except rules.RuleError as error:
        assert error.number == 2
        assert str(error).startswith("line 2: ")


@given(st.one_of(SERVICE_LINES, LINES))
def test_what_is_written_reads_back_as_the_same(line: str) -> None:
    """Writing a rule that was read gives text that reads to the same, and writes to the same text."""
    try:
        made = [rule for rule in read_rules([line]) if rule.operation == "add-service"]
    except rules.RuleError:
        return
    for rule in made:
        if rule.service.persistence is None:
            rule = rule.replace(service=rule.service.replace(netmask=None))  # not saved, since it has no effect
        entry = Entry(ServiceStatus(rule.service, Statistics()), ())
        text = list(rules.format_rules([entry]))
        assert [again.service for again in read_rules(text)] == [rule.service]


@given(
    ADDRESSES, PORTS, st.sampled_from(["masq", "tunnel", "route"]), st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1),
    st.sampled_from([("ipip", 0, 0), ("gue", 6080, 0), ("gue", 1, 1), ("gue", 65535, 2), ("gre", 0, 0), ("gre", 0, 1)]),
)  # fmt: skip
def test_a_real_server_survives_saving(
    address: str, port: int, forwarding: str, weight: int, upper: int, tunnel: tuple[str, int, int]
) -> None:
    """Every field of a real server is in its line, thresholds and tunnels too."""
    host = address.strip("[]")
    service = Service("tcp", "::1" if ":" in host else "10.0.0.1", port, persistence=5)
    kind = tunnel if forwarding == "tunnel" else ("ipip", 0, 0)
    server = Destination(host, port, forwarding, weight, upper, upper // 2, *kind)
    entry = Entry(ServiceStatus(service, Statistics()), (DestinationStatus(server, 0, 0, 0, Statistics()),))
    assert [rule.destination for rule in read_rules(rules.format_rules([entry]))] == [None, server]


def test_a_rule_error_names_line_and_reason() -> None:
    """Number, text and ipvsadm's words."""
    with pytest.raises(rules.RuleError) as caught:
        list(read_rules(["# comment", "", "-A -t 10.0.0.1:80 -s wlc\n", "-A -t 10.0.0.1 -s wlc\n"]))
    assert (caught.value.number, caught.value.line) == (4, "-A -t 10.0.0.1 -s wlc")
    assert caught.value.reason == "Zero port specified for non-persistent service"


def test_a_command_that_changes_no_rule_is_none() -> None:
    """-L and the like are lines of -R, but no rules."""
    with pytest.raises(rules.RuleError, match="'list' is no rule"):
        list(read_rules(["-L -n"]))


def test_an_engine_is_part_of_the_line_that_adds_a_service() -> None:
    """The persistence engine is written, and firewall marks from 2^31 on are negative where ipvsadm shows them so."""
    service = Service(fwmark=2**31, scheduler="rr", persistence=60, persistence_engine="sip")
    assert rules.format_service(service, rules.selector(service, "")) == "-A -f 2147483648 -s rr -p 60 --pe sip"
    assert [rules.mark_text(mark, unsigned=False) for mark in (2**31 - 1, 2**31)] == ["2147483647", "-2147483648"]


@pytest.mark.parametrize(("kind", "flags", "shown", "saved"), [
    ("gre", 0, "gre:-c", "--tun-nocsum"), ("gre", 1, "gre:+c", "--tun-csum"), ("gre", 2, "gre:r+c", "--tun-remcsum --as-is"),
    ("gre", 3, "gre:(null)", "--tun-csum --tun-remcsum --as-is"), ("gue", 2, "gue:6080:r+c", "--tun-remcsum"),
    ("gue", 3, "gue:6080:(null)", "--tun-csum --tun-remcsum --as-is"),
])  # fmt: skip
def test_checksums_of_tunnels_as_netlink_may_set_them(kind: str, flags: int, shown: str, saved: str) -> None:
    """Listed as ipvsadm 1.31 lists them (recorded); saved so that they come back, where ipvsadm refuses its own word, or
    ends by a signal."""
    server = Destination(
        "10.0.0.1", 80, "tunnel", tunnel_type=kind, tunnel_port=6080 * (kind == "gue"), tunnel_flags=flags
    )
    service = Service("udp", "203.0.113.9", 80)
    text = "-A -u 203.0.113.9:80 -s wlc\n" + rules.format_server("-u 203.0.113.9:80", server, "10.0.0.1:80", of=service)
    assert text.endswith(saved)
    kernel = Kernel(text)
    assert kernel.ipvsadm("-Ln", "--tun-info").stdout.splitlines()[-1].split()[3] == shown
    with kernel.connect() as ipvs:
        (entry,) = ipvs.services()
        assert [status.destination for status in ipvs.servers(entry.service)] == [server]
