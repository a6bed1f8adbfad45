"""Replaying traces: the recorded administrators' sessions without a difference, and every way of the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ipvssim.doors.compare import differences, normalised
from ipvssim.doors.replay import Replay, main
from ipvssim.doors.traces import ReplayError
from tests.places import DATA

TRACES = DATA / "traces"
ADMIN = sorted(TRACES.glob("admin-*.trace"))


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("trace", ADMIN, ids=[path.stem for path in ADMIN])
def test_no_step_of_an_administrators_session_differs(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check finds nothing between the simulator and Linux 6.1.176 with ipvsadm 1.31."""
    assert main(["--check", str(trace)]) == 0
    assert capsys.readouterr().out == ""


def test_several_traces_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Recordings are taken from beside their traces, or from where they are named."""
    assert len(ADMIN) == 10
    assert main(["--check", *map(str, ADMIN)]) == 0
    assert main(["--check", str(ADMIN[0].with_suffix(".kernel")), str(ADMIN[0]), str(ADMIN[1])]) == 0
    assert capsys.readouterr().out == ""


def test_plain_answers_are_one_object_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    """As many lines as steps, each with exactly the parts of its kind; --clock changes the time and not the form."""
    steps = ADMIN[0].read_text().count("\n") - 1
    for arguments in ([], ["--clock", str(ADMIN[0].with_suffix(".kernel"))]):
        assert main([*arguments, str(ADMIN[0])]) == 0
        answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert len(answers) == steps and all(answer.keys() == {"rc", "stdout", "stderr"} for answer in answers)


def test_a_difference_is_shown_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Step, what, the kernel's and the simulator's, one line a difference."""
    trace = written(tmp_path / "a.trace", {"trace": 1}, {"do": "ipvsadm", "args": ["-D", "-f", "1"]}, {"do": "conns"})
    written(
        tmp_path / "a.kernel",
        {"step": 0, "at": 0.1, "rc": 0, "stdout": "", "stderr": "No such service\n"},
        {"step": 1, "at": 0.2, "conns": []},
    )
    assert main(["--check", trace]) == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"trace": "a", "step": 0, "what": "rc", "kernel": 0, "simulator": 255}


@pytest.mark.parametrize(
    "step",
    [
        {"do": "dance"},
        {"do": "packet", "on": "nowhere", "hex": "00"},
        {"do": "packet", "on": "client", "hex": "zz"},
        {"do": "sleep"},
        {"do": "sysctl", "name": "kernel.panic", "value": 1},
        {"args": []},
    ],
)
def test_a_step_that_cannot_be_replayed_is_named(
    step: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error has the step's number, and the exit status is 2; earlier answers stand."""
    trace = written(tmp_path / "a.trace", {"trace": 1}, {"do": "conns"}, step)
    assert main([trace]) == 2
    captured = capsys.readouterr()
    assert "step 1" in captured.err and captured.out == '{"conns": []}\n'


@pytest.mark.parametrize("text", ["", "{}\n", '{"trace": 2}\n', "not json\n"])
def test_what_is_no_trace(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No header of version 1, or no JSON: exit status 2 and the file's name."""
    path = tmp_path / "a.trace"
    path.write_text(text)
    assert main([str(path)]) == 2
    assert "a.trace" in capsys.readouterr().err


def test_other_ways_to_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No such file, no recording, a recording of another length, no such release: exit status 2."""
    trace = written(tmp_path / "a.trace", {"trace": 1}, {"do": "conns"})
    assert main([str(tmp_path / "nope.trace")]) == 2
    assert main(["--check", trace]) == 2
    written(tmp_path / "a.kernel")
    assert main(["--check", trace]) == 2
    assert main(["--kernel", "3.10.0", trace]) == 2
    assert main(["--kernel", "6.1.192", trace]) == 0
    assert capsys.readouterr().err.count("\n") == 4


def test_time_passes_by_sleep_and_by_stats_alone() -> None:
    """A sleep moves the clock as far as it says, stats by 2.2 s, a recording's ``at`` to where it stands."""
    director = Replay({})
    clock = director.kernel.namespace.clock
    director.answer({"do": "sleep", "seconds": 2.5})
    assert clock.now == 2_500_000
    director.answer({"do": "stats"})
    director.answer({"do": "conns"})
    assert clock.now == 4_700_000
    director.answer({"do": "conns"}, at=9.25)
    assert clock.now == 9_250_000


def test_sysctl_steps() -> None:
    """An accepted write is empty, a refused one has its errno, and the header's are written first."""
    director = Replay({"sysctl": {"net.ipv4.vs.sloppy_tcp": 1}})
    assert director.kernel.namespace.sysctls.sloppy_tcp == 1
    assert director.answer({"do": "sysctl", "name": "net.ipv4.vs.drop_entry", "value": 3}) == {}
    assert director.answer({"do": "sysctl", "name": "net.ipv4.vs.drop_entry", "value": 4}) == {"errno": 22}
    assert director.answer({"do": "sysctl", "name": "net.ipv4.vs.nope", "value": 4}) == {"errno": 2}
    with pytest.raises(ReplayError):
        Replay({"sysctl": {"net.ipv4.vs.drop_entry": 9}})


def test_netlink_steps_work_on_the_same_table() -> None:
    """The family is ffff, the port beef; what ipvsadm made is there."""
    director = Replay({})
    director.answer({"do": "ipvsadm", "args": ["-A", "-f", "7"]})
    ask = bytes.fromhex("14000000ffff0103e803000000000000") + bytes([4, 1, 0, 0])
    replies = [bytes.fromhex(one) for one in director.answer({"do": "netlink", "hex": ask.hex()})["replies"]]
    assert len(replies) == 2 and len(replies[0]) == 336
    assert all(one[12:16] == bytes.fromhex("efbe0000") for one in replies)


PACKET = {"do": "packet", "on": "client", "hex": "45000014000000004006000001020304cb007101"}
IPIP = "4500003c1234400040041111" + "0a000001" + "0a00000a"


def test_identification_of_the_directors_own_packets_is_not_compared() -> None:
    """A tunnel packet may have another id if its checksum is adjusted; a forwarded one may not."""
    other = IPIP.replace("12344000", "12354000").replace("40041111", "40041110")
    wrong = IPIP.replace("12344000", "12354000")
    natted = (IPIP.replace("0a000001", "01020304"), other.replace("0a000001", "01020304"))
    for theirs, ours, same in ((IPIP, other, True), (IPIP, wrong, False), (*natted, False)):
        answers = [{"out": [{"on": "client", "hex": one}]} for one in (theirs, ours)]
        assert (not list(differences(PACKET, *answers))) is same


def test_normalising_twice_changes_nothing_more() -> None:
    """Flow labels, GUE's source port and identifications are cleared once and for all; other packets stay."""
    gue6 = bytes.fromhex("6a012345001411ff" + "fd000010000000000000000000000001" + "fd00001000000000000000000000000a")
    gue6 += bytes.fromhex("abcd17c00014beef") + bytes(12)
    once = normalised(gue6)
    assert once[1:4] == bytes.fromhex("000000") and once[40:42] == b"\0\0" and once == normalised(once)
    plain = bytes.fromhex("450000287777000040061234" + "01020304" + "05060708") + bytes(20)
    assert normalised(plain) == plain and normalised(b"") == b""


def test_tolerances_of_listings() -> None:
    """Rates are not compared; a connection listing's order and one second of its times neither."""
    rate = {"do": "ipvsadm", "args": ["-Ln", "--rate"]}
    listing = {"do": "ipvsadm", "args": ["-Lnc"]}
    rows = "TCP 01:59  A  x y z\n", "UDP 05:00  B  x y z\n"
    cases = [
        (rate, "TCP  1.2.3.4:80  1 2 3\n", "TCP  1.2.3.4:80  9 9 9\n", True),
        (rate, "TCP  1.2.3.4:80  1 2 3\n", "TCP  1.2.3.4:81  1 2 3\n", False),
        (listing, "".join(rows), rows[1] + rows[0].replace("01:59", "02:00"), True),
        (listing, "".join(rows), rows[1] + rows[0].replace("01:59", "02:01"), False),
        ({"do": "ipvsadm", "args": ["-Ln"]}, "a\n", "b\n", False),
    ]
    for step, theirs, ours, same in cases:
        assert (not list(differences(step, {"stdout": theirs}, {"stdout": ours}))) is same


def test_tolerances_of_connections() -> None:
    """A second in ``expires`` is, another state is not."""
    row = {"proto": "TCP", "client": "01020304", "state": "ESTABLISHED", "expires": 899}
    for change, same in (({"expires": 900}, True), ({"expires": 901}, False), ({"state": "CLOSE"}, False)):
        assert (not list(differences({"do": "conns"}, {"conns": [row]}, {"conns": [{**row, **change}]}))) is same


def test_the_hosts_own_answers_are_left_out() -> None:
    """Where the simulator says local, a recording that can't say so may hold the host's reset, and nothing else."""
    reset = {
        "on": "client",
        "hex": "450000280000400040060000cb00710101020304" + "00500400" + bytes(8).hex() + "50040000" + "00" * 4,
    }
    segment = {"on": "client", "hex": reset["hex"].replace("50040000", "50100000")}
    local = {"out": [], "local": True}
    assert not list(differences(PACKET, {"out": [reset]}, local, tells_local=False))
    assert list(differences(PACKET, {"out": [segment]}, local, tells_local=False))
    assert list(differences(PACKET, {"out": [reset]}, local))
