"""``ipvssim pcap``: it never harms a file, never waits in vain, and takes a director's options."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ipvssim.doors import directors
from ipvssim.doors.captures import progress
from ipvssim.doors.pcap import main
from tests.ipvssim import worlds as w
from tests.ipvssim.doors import captured as c
from tests.places import DATA

CASES = DATA / "captures"
PCAP = c.classic("ethernet", c.session())
COMMAND = [sys.executable, "-m", "ipvssim", "pcap"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with rules, a capture, and an older file where what leaves is to go."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").write_text(c.RULES)
    (tmp_path / "in").write_bytes(PCAP)
    (tmp_path / "out").write_bytes(b"older")
    return tmp_path


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


@pytest.mark.parametrize("kind", ["the same", "spelled otherwise", "a hard link", "a symbolic link", "the rules"])
def test_what_is_read_is_never_written(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """OUT that is the capture or the rules, by whatever name, is refused before anything is touched."""
    os.link("in", "hard")
    Path("soft").symlink_to("in")
    out = {"the same": "in", "spelled otherwise": "./../" + Path.cwd().name + "/in", "a hard link": "hard",
           "a symbolic link": "soft", "the rules": "rules"}[kind]  # fmt: skip
    before = files()
    assert main(["rules", "in", out]) == 1
    assert "it is what is read" in capsys.readouterr().err and files() == before


def test_standard_input_is_never_written() -> None:
    """A redirection is a name, too."""
    with Path("in").open("rb") as stream:
        done = subprocess.run([*COMMAND, "rules", "-", "in"], stdin=stream, capture_output=True, text=True)
    assert done.returncode == 1 and "it is what is read" in done.stderr and Path("in").read_bytes() == PCAP


@pytest.mark.parametrize("data", [None, b"", b"nonsense", PCAP[:-1], PCAP[:40]], ids=str)
def test_a_capture_that_cannot_be_read_leaves_out_as_it_was(data: bytes | None) -> None:
    """Missing, empty, foreign or cut short: OUT keeps its bytes, and nothing lies beside it."""
    if data is None:
        Path("in").unlink()
    else:
        Path("in").write_bytes(data)
    before = files()
    assert main(["rules", "in", "out"]) == 1
    assert files() == before


def test_what_was_read_before_damage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The report stands on standard output, one line about the damage on standard error."""
    Path("in").write_bytes(PCAP[:-1])
    assert main(["rules", "in", "out"]) == 1
    told = capsys.readouterr()
    assert "4 packets came in" in told.out and "3 packets in" not in told.out
    assert told.err == "ipvssim pcap: in: packet 5: the file ends within it (out is not written)\n"


def test_a_full_disk_is_named_and_leaves_out_as_it_was() -> None:
    """Where no more can be written, OUT keeps its bytes, and nothing lies beside it."""
    Path("in").write_bytes(c.classic("ethernet", [c.Wire(0, w.tcp(payload=bytes(1400)))] * 100))
    before = files()
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000));"
    limited += "from ipvssim.doors.pcap import main; sys.exit(main(['rules', 'in', 'out']))"
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True)
    assert done.returncode == 1 and "File too large" in done.stderr and "/out: " in done.stderr
    assert done.stderr.count("\n") == 1 and files() == before


@pytest.mark.parametrize("kind", ["a directory", "a FIFO", "a device", "a folder that is not there", "a circle"])
def test_only_a_file_is_written(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """OUT that can't become a file is refused at once."""
    os.mkfifo("fifo")
    Path("circle").symlink_to("circle")
    out = {"a directory": ".", "a FIFO": "fifo", "a device": "/dev/full", "a folder that is not there": "none/out"}
    assert main(["rules", "in", out.get(kind, "circle")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("ipvssim pcap: ") and told.count("\n") == 1 and "[Errno" not in told


def test_out_takes_its_place_whole_and_keeps_links_and_permissions() -> None:
    """A link to OUT stays one, and a file that only its owner may read stays so."""
    Path("out").chmod(0o600)
    Path("soft").symlink_to("out")
    assert main(["rules", "in", "soft"]) == 0
    assert Path("soft").is_symlink() and Path("out").stat().st_mode & 0o777 == 0o600
    assert Path("out").read_bytes()[:4] == PCAP[:4] and sorted(files()) == ["in", "out", "rules", "soft"]


@pytest.mark.parametrize("arguments", [["rules", "fifo"], ["fifo", "in"]])
def test_a_fifo_that_nobody_writes_to_is_not_waited_for(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As capture it is empty, which is refused; as rules there are none."""
    os.mkfifo("fifo")
    status = main(arguments)
    told = capsys.readouterr()
    assert (status, "empty, and no capture" in told.err) in ((1, True), (0, False))


def test_pipes_are_read_as_they_come() -> None:
    """Rules and capture may be the other ends of pipes: <(ipvsadm -Sn), tcpdump -w - |."""
    script = f"cat in | {' '.join(COMMAND)} <(cat rules) - && {' '.join(COMMAND)} rules <(cat in)"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.stdout.count("5 packets came in, 5 left") == 2 and done.returncode == 0


@pytest.mark.parametrize("how", ["", "--json"])
def test_an_interrupt_tells_what_was_found_so_far(how: str) -> None:
    """Ctrl-C at an endless pipe ends with status 130, a report and no traceback; OUT stays as it was."""
    command = [*COMMAND, "rules", "-", "out", *how.split()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.write(PCAP)
        child.stdin.flush()
        while not any(name.startswith(".out") for name in files()):  # it has begun
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130 and err == b"ipvssim pcap: interrupted (out is not written)\n"
    assert out and files()["out"] == b"older" and len(files()) == 3
    assert not how or json.loads(out)["error"] == "interrupted"


def test_a_line_a_flow_then_totals_and_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    """The report says who came, where it went, by which scheduler, its states, and whether the capture agrees."""
    assert main([str(CASES / "nat-in.rules"), str(CASES / "nat-in.pcap")]) == 0
    assert capsys.readouterr().out.splitlines()[:4] == [
        "flow 1: TCP 198.18.30.7:40000 -> 198.18.0.10:443 to 198.18.20.81:6443 (rr); 3 packets in, 2 back, SYN_RECV, "
        "ESTABLISHED, FIN_WAIT, TIME_WAIT; open",
        "server 198.18.20.81:6443: 1 flow, 3 packets in (120 bytes), 2 back (80 bytes)",
        "compared with the capture's director: 1 of 1 flow agree, 0 differ",
        "5 packets came in, 5 left",
    ]


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """A flow that differs names both servers; numbers are numbers."""
    Path("rules").write_text(c.RULES + "-a -t 203.0.113.1:80 -r 10.0.0.11:8080 -m\n")
    assert main(["--json", "rules", "in"]) == 0
    told = json.loads(capsys.readouterr().out)
    (flow,) = told["flows"]
    assert (flow["server"], flow["captured"], flow["agrees"]) == ("10.0.0.11:8080", "10.0.0.10:8080", False)
    assert told["comparison"] == {"compared": 1, "agree": 0, "differ": 1, "assumed": {}}
    assert told["packets"]["turned"] == 2 and told["error"] is None
    assert told["servers"]["10.0.0.11:8080"]["packets_back"] == 2 and flow["states"][-1] == "TIME_WAIT"


def test_the_flow_that_differs_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Both servers stand in its line."""
    Path("rules").write_text(c.RULES + "-a -t 203.0.113.1:80 -r 10.0.0.11:8080 -m\n")
    assert main(["rules", "in"]) == 0
    told = capsys.readouterr().out
    assert "  flow 1: the capture's director sent it to 10.0.0.10:8080, the twin to 10.0.0.11:8080\n" in told


def test_what_is_not_played_is_explained_too(capsys: pytest.CaptureFixture[str]) -> None:
    """``--explain`` has a line about every packet that left its director."""
    assert main(["--explain", str(CASES / "ops.rules"), str(CASES / "ops.pcap")]) == 0
    told = capsys.readouterr().out
    assert "picked: 198.18.20.82:53" in told and "packet 4: not played, left for a server, of flow 2\n" in told


def test_the_director_is_as_its_options_say(capsys: pytest.CaptureFixture[str]) -> None:
    """A tunable lets connections be joined in the middle; a mark finds its service; a timeout ends a connection early."""
    Path("in").write_bytes(c.classic("ethernet", [c.Wire(0, w.tcp(w.ACK)), c.Wire(200_000_000, w.tcp(w.ACK))]))
    for options, words in (
        ([], "no packet that opens a connection; 2 packets in"),
        (["--sysctl", "sloppy_tcp=1"], "ESTABLISHED; open"),
        (["--sysctl", "net.ipv4.vs.sloppy_tcp=1", "--set", "100", "0", "0"], "flow 2: "),
    ):
        assert main(["rules", "in", *options]) == 0
        assert words in capsys.readouterr().out
    fwmark = [str(CASES / "fwmark.rules"), str(CASES / "fwmark.pcap"), "--kernel", "6.1.192"]
    assert main(fwmark) == 0
    assert "no packet goes to a virtual address of the rules" in capsys.readouterr().out
    assert main([*fwmark, "--mark", "tcp dst 198.18.0.0/24 dport 80,443 -> 1481"]) == 0
    assert "to 198.18.20.81:80 (rr)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--sysctl", "nonsense=1"], "--sysctl nonsense=1: no tunable net.ipv4.vs.nonsense"),
        (["--sysctl", "sloppy_tcp"], "--sysctl sloppy_tcp: it is NAME=VALUE"),
        (["--sysctl", "sync_version=7"], "--sysctl sync_version=7: Invalid argument"),
        (["--set", "1", "x", "3"], "--set 1 x 3: "),
        (["--kernel", "3.15.1"], "'3.15.1': kernels before 4.18 are not modelled"),
        (["--mark", "tcp port 80 -> 7"], "'port' is none of tcp,"),
        (["--director", "eth0"], "'eth0' is no MAC address"),
        (["--server-mac", "02:00:00:00:00:01"], "--server-mac 02:00:00:00:00:01: "),
    ],
)
def test_a_wrong_option_is_named(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says which option, and what is wrong with it."""
    assert main(["rules", "in", *options]) == 1
    told = capsys.readouterr()
    assert words in told.err and told.err.count("\n") == 1 and not told.out


def test_rules_are_named_where_they_are_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """The file and its line; rules that are no text are refused, too."""
    for rules, words in ((b"-A -t nonsense\n", "rules: line 1"), (b"\xff\xfe", "rules: ")):
        Path("rules").write_bytes(rules)
        assert main(["rules", "in"]) == 1
        assert words in capsys.readouterr().err


def test_endless_rules_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A device never ends."""
    monkeypatch.setattr(directors, "_MOST", 1 << 20)
    assert main(["/dev/zero", "in"]) == 1
    assert "/dev/zero: more than 1 MB of text" in capsys.readouterr().err


def test_progress_is_shown_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A big file has a bar on a terminal's standard error, which leaves no trace on standard output."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(progress, "BIG", 1)
    monkeypatch.setenv("TERM", "xterm")  # where the tests run there may be none, or a dumb one
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert main(["rules", "in"]) == 0
    assert "capture" in terminal.getvalue()
    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    assert main(["rules", "in"]) == 0 and not quiet.getvalue()
