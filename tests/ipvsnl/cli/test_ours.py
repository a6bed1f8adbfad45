"""Where we leave ipvsadm on purpose, one test a row of docs/use/differences.md; and what is ours alone."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ipvsnl
from ipvsnl._value import maker
from ipvsnl.cli import main as program
from ipvsnl.cli.dispatch import run
from ipvsnl.errors import LinkError
from ipvsnl.model import Daemon, Destination, Entry, Info, Service, ServiceStatus, Statistics
from ipvsnl.refusals import KernelError
from ipvsnl.tables import json_out
from ipvsnl.text.compat import OURS, STRICT, Compat
from ipvsnl.text.listing import Listing, daemon
from ipvsnl.text.rules import format_service
from ipvsnl.text.saving import saved

from .conftest import Names
from .fake import FakeIPVS
from .recordings import command

SERVICE = Service("tcp", "10.0.0.1", 80)


def loaded(*lines: str) -> FakeIPVS:
    ipvs = FakeIPVS()
    assert command(ipvs, "-R", stdin="\n".join(lines), prog="ipvsnl") == (0, "", "")
    return ipvs


def test_under_the_name_ipvsadm_nothing_differs() -> None:
    """All switches are off for the recordings, and on for us: none is forgotten."""
    assert not any(STRICT.astuple())
    assert all(OURS.astuple())


def test_save_keeps_thresholds() -> None:
    """-S writes -x and -y, and reading them back gives the same table."""
    line = "-a -t 10.0.0.1:80 -r 10.1.0.1:80 -i -w 1 -x 9 -y 4 --tun-type ipip"
    ipvs = loaded("-A -t 10.0.0.1:80 -s wlc", line)
    assert command(ipvs, "-Sn", prog="ipvsnl")[1].splitlines()[1] == line
    assert command(ipvs, "-Sn")[1].splitlines()[1] == line.replace(" -x 9 -y 4", "")


def test_marks_from_2_31_on_are_shown_and_saved_as_they_are() -> None:
    """ipvsadm shows them negative, and refuses what it saved."""
    ipvs = loaded("-A -f 4294967295 -s wlc", "-a -f 4294967295 -r 10.1.0.1:0 -g -w 1")
    saved = command(ipvs, "-Sn", prog="ipvsnl")[1]
    assert saved == "-A -f 4294967295 -s wlc\n-a -f 4294967295 -r 10.1.0.1:0 -g -w 1\n"
    assert "FWM  4294967295 wlc\n" in command(ipvs, "-Ln", prog="ipvsnl")[1]
    assert "FWM  -1 wlc\n" in command(ipvs, "-Ln")[1]


@pytest.mark.parametrize("scheduler", ["sh", "mh"])
def test_flag_3_of_the_hashing_schedulers_has_a_name(scheduler: str) -> None:
    """ipvsadm shows () and saves -b with nothing behind it."""
    line = f"-A -t 10.0.0.1:80 -s {scheduler} -b {scheduler}-port,flag-3"
    ipvs = loaded(line)
    assert command(ipvs, "-Sn", prog="ipvsnl")[1] == f"{line}\n"
    assert f" {scheduler} ({scheduler}-port,flag-3)\n" in command(ipvs, "-Ln", prog="ipvsnl")[1]


def test_save_does_not_cut_long_names(names: Names) -> None:
    """Cut at 59 characters, host:port is another host or another port."""
    names.hosts["10.0.0.1"] = ["x" * 70]
    assert command(loaded("-A -t 10.0.0.1:80"), "-S", prog="ipvsnl")[1] == f"-A -t {'x' * 70}:http -s wlc\n"


def test_counters_of_real_servers_have_all_their_bits() -> None:
    """ipvsadm shows the lower 32 of connections and packets."""
    ipvs = loaded("-A -t 10.0.0.1:80", "-a -t 10.0.0.1:80 -r 10.1.0.1:80")
    ipvs.statistics = Statistics(2**32, 2**33)
    assert f" {2**32} {2**33} " in command(ipvs, "-Ln", "--stats", "--exact", prog="ipvsnl")[1].splitlines()[4]


def test_restore_skips_comments() -> None:
    """ipvsadm stops at a line that begins with #."""
    loaded("# a comment", "  #another", "-A -t 10.0.0.1:80")
    assert command(FakeIPVS(), "-R", stdin="# a comment\n-C\n")[0] == 255


def test_a_comma_for_scheduler_flags_is_no_flag() -> None:
    """-b , crashes ipvsadm; here it means what -b '' means there."""
    ipvs = FakeIPVS()
    assert command(ipvs, "-A", "-t", "10.0.0.1:80", "-b", ",") == (0, "", "")
    assert ipvs.service(SERVICE).service.flags == 0


@pytest.mark.parametrize(
    ("line", "message", "status"),
    [
        ("-A -t 10.0.0.1:80 -q", "-q: unknown option", 0),
        ("-A -t 10.0.0.1:81", "Service already exists", 0),
        ("-a -t 10.0.0.1:81 -r 10.1.0.1:80 -m -w x", "illegal weight specified", 2),
        ("-A -t 10.0.0.1:82 -s nosuch", "Scheduler or persistence engine not found", 0),
        ("-L -t 9.9.9.9:1", "No such service", 1),
    ],
)
def test_a_refused_line_of_a_restore_is_named(line: str, message: str, status: int) -> None:
    """Besides ipvsadm's own message: file, line number, rule."""
    stdin = f"-A -t 10.0.0.1:81\n\n{line}\n-A -t 10.0.0.1:90\n"
    got = command(FakeIPVS(), "-R", stdin=stdin, prog="ipvsnl")
    words = message if "-L" not in line else "list failed"
    words += " ('x')" if line.endswith("-w x") else ""  # the word is named, too
    assert got == (status, "", f"{message}\n<stdin>:3: {line}: {words}\n")


def test_the_last_line_gives_the_status_of_a_restore() -> None:
    """A refusal in the middle leaves 0, one at the end 255: as ipvsadm does it."""
    twice = "-A -t 10.0.0.1:80\n-A -t 10.0.0.1:80\n"
    assert command(FakeIPVS(), "-R", stdin=twice)[0] == 255
    assert command(FakeIPVS(), "-R", stdin=twice + "-Z\n")[0] == 0


def serving(ipvs: FakeIPVS) -> Any:
    """What makes a client: this one."""
    return lambda: ipvs


def _no_kernel() -> FakeIPVS:
    raise LinkError(92, "this kernel has no IPVS")


def _run(*args: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    status = run(args, client_factory=_no_kernel, stdin=io.StringIO(), stdout=stdout, stderr=stderr)  # type: ignore[arg-type]
    return status, stdout.getvalue(), stderr.getvalue()


def test_without_a_kernel_the_message_is_ipvsadms_and_names_the_way_out() -> None:
    """Status 2, its two lines, the reason, and --target sim; never the simulator by itself."""
    status, stdout, stderr = _run("-Ln")
    lines = stderr.splitlines()
    assert (status, stdout) == (2, "")
    assert lines[:2] == [
        "Can't initialize ipvs: Protocol not available",
        "Are you sure that IP Virtual Server is built in the kernel or as module?",
    ]
    assert lines[2] == "this kernel has no IPVS"
    assert "--target sim" in lines[3]


@pytest.mark.parametrize("args", ["-h", "-v", "-A -t 1"])
def test_what_needs_no_kernel_asks_for_none(args: str) -> None:
    """Help, version and usage errors work without privileges."""
    assert "initialize" not in _run(*args.split())[2]


def test_an_interrupted_restore_says_how_far_it_got() -> None:
    """Control-C during a load: status 130, the line, the changes made."""

    class Interrupted(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            text = super().read(size)
            if not text:
                raise KeyboardInterrupt
            return text

    stderr = io.StringIO()
    stdin = Interrupted("-A -t 10.0.0.1:80\n-A -t 10.0.0.1:81\n")
    ipvs = FakeIPVS()
    status = run(["-R"], client_factory=serving(ipvs), stdin=stdin, stdout=io.StringIO(), stderr=stderr, progress=False)
    assert (status, stderr.getvalue()) == (130, "interrupted after line 2: 2 changes made\n")


def test_progress_is_shown_when_asked_for() -> None:
    """--progress draws on standard error and loads everything."""
    ipvs = FakeIPVS()
    stdin = io.StringIO("".join(f"-A -t 10.0.{n >> 8}.{n & 255}:80\n" for n in range(1000)))
    stderr = io.StringIO()
    status = run(["-R"], client_factory=serving(ipvs), stdin=stdin, stdout=io.StringIO(), stderr=stderr, progress=True)
    assert (status, len(ipvs.table)) == (0, 1000)


def test_a_destination_that_does_not_match_is_never_sent() -> None:
    """The client sees values, not text: an address in any spelling is the same one."""
    ipvs = loaded("-A -t 10.1:80", "-a -t 10.0.0.1:http -r 0x0a010001 -m")
    assert [one.destination for one in ipvs.servers(SERVICE)] == [Destination("10.1.0.1", 80, "masq")]


# --- the program ---


def test_our_options_stand_before_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """--target, --netns and --progress, with the value in the same word or the next; the environment is the default."""
    monkeypatch.setenv("IPVSNL_TARGET", "sim:x")
    own = program.Own()
    assert own.target == "sim:x"
    assert own.read(["--target", "sim", "--netns=blue", "--progress", "-Ln", "--target"]) == ["-Ln", "--target"]
    assert (own.target, own.netns, own.progress) == ("sim", "blue", True)
    monkeypatch.delenv("IPVSNL_TARGET")
    assert program.Own().target == "kernel"
    with pytest.raises(ValueError, match="missing argument"):
        program.Own().read(["--netns"])


def process(*args: str, stdout: object = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command_line = [sys.executable, "-m", "ipvsnl.cli", *args]
    return subprocess.run(command_line, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)  # type: ignore[call-overload, no-any-return]


def test_a_full_disk_is_an_error() -> None:
    """ipvsadm -S > /dev/full exits 0 with nothing saved."""
    with Path("/dev/full").open("w") as full:
        done = process("-h", stdout=full)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


def test_a_closed_pipe_is_silent() -> None:
    """ipvsnl -h | true: no traceback, the status of a broken pipe."""
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as reader:
        reader.wait()
        done = process("-h", stdout=reader.stdin)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("words", [["-h"], ["-A", "-t", "192.0.2.1:80", "-s", "rr"], ["-Ln"], ["-Sn"], ["-C"]])
def test_a_start_loads_nothing_heavy(words: list[str]) -> None:
    """Starting costs a few milliseconds because these are left alone until they are needed; with a kernel or without."""
    code = f"import sys; from ipvsnl.cli.main import main; main({words}); print(*sys.modules, file=sys.stderr)"
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, env=paths)
    heavy = {"argparse", "typing", "dataclasses", "enum", "re", "socket", "ipaddress", "rich", "cffi"}
    heavy |= {"ctypes"} if ipvsnl.backend == "native" else set()
    assert "ipvsnl.cli.main" in done.stderr
    assert not heavy & set(done.stderr.split())


class Unprivileged(FakeIPVS):
    """A kernel that lets nobody in."""

    def info(self) -> Info:
        raise KernelError(errno.EPERM, 15)

    def add_service(self, service: Service, *, tag: object = None) -> None:
        raise KernelError(errno.EPERM, 1, tag=tag)


@pytest.mark.parametrize("args", [["-Ln"], ["-A", "-f", "1"], ["-R"]])
def test_without_privilege_the_message_is_the_one_of_the_start(args: list[str]) -> None:
    """ipvsadm is refused before it begins: status 2 and two lines, whatever was asked."""
    got = command(Unprivileged(), *args, stdin="-A -f 1\n-A -f 2\n")
    lines = "Can't initialize ipvs: Permission denied (you must be root)\n"
    lines += "Are you sure that IP Virtual Server is built in the kernel or as module?\n"
    assert got == (2, "", lines)


def test_a_namespace_that_does_not_exist_is_an_error() -> None:
    """--netns says which file it looked for, and nothing is read from another table."""
    done = process("--netns", "no-such-namespace", "-Ln")
    assert (done.returncode, done.stdout) == (2, "")
    assert "/run/netns/no-such-namespace: No such file or directory" in done.stderr


def test_only_the_kernel_has_namespaces() -> None:
    """--netns with the simulator is a mistake, not ignored."""
    assert "only the kernel has network namespaces" in process("--target", "sim", "--netns", "x", "-Ln").stderr


def test_names_that_a_terminal_obeys_are_escaped() -> None:
    """What another program put into the kernel: -S stays one line a rule, and under ipvsadm's name bytes stay its."""
    make = maker(Service)
    name = "r\n-C \x1b[2J"
    service = make("tcp", "10.0.0.1", 80, 0, 2, name, 0, False, 5, None, "p\x07e")
    assert format_service(service, "-t 10.0.0.1:80") == (
        "-A -t 10.0.0.1:80 -s r\\n-C\\x20\\x1b[2J -p 5 --pe p\\x07e"
    )  # fmt: skip
    entry = Entry(ServiceStatus(service, Statistics()), ())
    for compat in (OURS, STRICT):
        shown = "".join(Listing(frozenset(("numeric",)), compat).table([entry]))
        saved_text = "".join(saved([entry], frozenset(("numeric",)), compat))
        assert ("\x1b" in shown, "\x1b" in saved_text) == ((compat is STRICT),) * 2
    assert "\x1b" not in daemon(maker(Daemon)("master", "e\x1bth", 0, 1, "224.0.0.81", 1, 1), escaped=True)
    assert "\x1b" not in json_out.document(services=[json_out.entry(entry)])


def test_ours_and_ipvsadm_s_are_all_switches_on_and_off() -> None:
    """The two that are made without a constructor are what the constructor makes."""
    assert Compat() == OURS
    assert Compat(**dict.fromkeys(Compat.__fields__, False)) == STRICT
