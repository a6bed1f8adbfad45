"""The command ``ipvssim run``: statuses, signals, namespaces, the files of IPVS, sharing, and ends of all kinds."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ipvssim.run.programs import ROOT, RUN, needs, run

SURROUNDINGS = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'sim'}"}


def may_have_raw_sockets() -> bool:
    """Whether this user is given them by the machine: ipvsadm's old interface opens one, and it is no netlink socket."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW):
            return True
    except PermissionError:
        return False


def begun(*words: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A run that goes on; it has begun when it has written its first line."""
    started = subprocess.Popen(
        [*RUN, *options, "--", *words], env=SURROUNDINGS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None and started.stdout.readline()
    return started


@needs()
@pytest.mark.parametrize(("script", "status"), [("exit 3", 3), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("true", 0)])
def test_the_status_is_the_programs(script: str, status: int) -> None:
    """An exit status comes through, and so does a signal that ended the program."""
    assert run("sh", "-c", script).returncode == status


@needs()
def test_a_program_that_is_not_there_or_not_executable(tmp_path: Path) -> None:
    """127 and 126, as in a shell, and a line that says which."""
    missing = run("no-such-program")
    assert (missing.returncode, missing.stderr) == (127, "ipvssim run: no-such-program: No such file or directory\n")
    (tmp_path / "text").write_text("")
    assert run(str(tmp_path / "text")).returncode == 126


@needs()
def test_a_way_to_hold_calls_that_is_none_is_one_line() -> None:
    """The variable and its values are named."""
    done = run("true", way="bogus")
    assert (done.returncode, done.stderr.count("\n")) == (125, 1)
    assert "IPVSSIM_HELD is native or python (or not set), not 'bogus'" in done.stderr


@needs()
def test_a_run_within_a_run_is_refused() -> None:
    """System calls have one holder: the inner command says so in a line (EBUSY)."""
    inner = run(*RUN, "--", "true")
    assert inner.returncode == 125 and inner.stderr.count("\n") == 1 and "holds system calls already" in inner.stderr


@needs()
@pytest.mark.parametrize("release", ["4.19.0", "5.13.19-generic"])
def test_an_old_kernel_is_refused(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    """In one line, which names the release and what it takes."""
    from ipvssim.run import system

    now = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((now.sysname, now.nodename, release, "", now.machine)))
    with pytest.raises(system.RunError, match=rf"Linux {release} is too old.*5\.14"):
        system.check_system()


@needs()
def test_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its system calls have other numbers, which are not known."""
    from ipvssim.run import calls, system

    monkeypatch.setattr(calls, "here", lambda: None)
    with pytest.raises(system.RunError, match="not known here, only those of x86_64, aarch64"):
        system.check_system()


@needs("unshare", "ipvsadm")
def test_each_network_namespace_has_a_table_of_its_own() -> None:
    """What is added inside is not seen outside, and the other way round."""
    inside = "ipvsadm -Sn; ipvsadm -A -t 192.0.2.2:80; ipvsadm -Sn"
    done = run("sh", "-c", f"ipvsadm -A -t 192.0.2.1:80; unshare -rn sh -c '{inside}'; ipvsadm -Sn")
    assert done.stdout == "-A -t 192.0.2.2:80 -s wlc\n-A -t 192.0.2.1:80 -s wlc\n"


@needs()
def test_tunables_and_files() -> None:
    """They are read, listed, written, and missing ones stay missing; what is refused too late is said,
    and what is not modelled."""
    script = """
    cd /proc/net && head -1 ip_vs; stat -c '%F %a' /proc/net/ip_vs_conn; test -e /proc/net/ip_vs_none || echo none
    cat /proc/sys/net/ipv4/vs/conntrack; echo 1 >/proc/sys/net/ipv4/vs/conntrack; cat /proc/sys/net/ipv4/vs/conntrack
    echo x >/proc/sys/net/ipv4/vs/conntrack; cat /proc/sys/net/ipv4/vs/conntrack; modprobe ip_vs_rr && echo loaded
    """
    done = run("sh", "-c", script)
    assert done.stdout.splitlines() == [
        "IP Virtual Server version 1.2.1 (size=4096)", "regular empty file 444", "none", "0", "1", "1", "loaded",
    ]  # fmt: skip
    warned, refused = done.stderr.splitlines()
    assert "conntrack=1: of connection tracking these are not modelled" in warned
    assert refused == "ipvssim run: /proc/sys/net/ipv4/vs/conntrack: Invalid argument (the program was not told)"


@needs("ipvsadm")
@pytest.mark.parametrize("netlink", ["yes", "none"])
def test_the_old_interface_makes_the_same_table(netlink: str) -> None:
    """What ipvsadm says in IPv4, it says by setsockopt as well as by netlink: the same listing, statistics and refusals."""
    if netlink == "none" and not may_have_raw_sockets():
        pytest.skip("ipvsadm's old interface opens a raw socket, which Linux refuses to this user")
    script = """
    ipvsadm --set 100 20 30; ipvsadm -A -t 192.0.2.1:80 -s wrr -p 300; ipvsadm -A -u 192.0.2.1:53 -s rr
    ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.1:8080 -m -w 3 -x 9 -y 4; ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.2:80 -g
    ipvsadm -A -f 7 -s sh; ipvsadm -a -f 7 -r 10.0.0.3:0 -i; ipvsadm -e -t 192.0.2.1:80 -r 10.0.0.2:80 -g -w 0
    ipvsadm -A -t 192.0.2.1:80; ipvsadm -d -t 192.0.2.1:80 -r 10.0.0.9:80; ipvsadm -D -u 192.0.2.9:53; ipvsadm -Z
    ipvsadm -Ln; ipvsadm -Ln --stats; ipvsadm -Ln --thresholds; ipvsadm -Sn; ipvsadm -L --timeout; ipvsadm -C; ipvsadm -Ln
    """
    done = run("sh", "-c", script, options=("--netlink", netlink))
    assert "TCP  192.0.2.1:80 wrr persistent 300\n  -> 10.0.0.1:8080                Masq    3" in done.stdout
    plain = run("sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (plain.returncode, plain.stdout, plain.stderr)


@needs("ipvsadm")
def test_two_runs_and_our_own_command_share_a_table(tmp_path: Path) -> None:
    """--serve, --join, and --target unix:PATH: one kernel. No file stays."""
    path = tmp_path / "socket"
    first = begun("sh", "-c", "ipvsadm -A -t 192.0.2.1:80; echo ready; exec sleep 60", options=("--serve", str(path)))
    joined = run("sh", "-c", "ipvsadm -A -t 192.0.2.2:80; cat /proc/net/ip_vs; exit 5", options=("--join", str(path)))
    assert joined.returncode == 5 and "C0000201:0050" in joined.stdout and "C0000202:0050" in joined.stdout
    ours = subprocess.run(
        [sys.executable, "-m", "ipvsnl", "--target", f"unix:{path}", "-Sn"],
        env=SURROUNDINGS,
        capture_output=True,
        text=True,
    )
    assert ours.stdout.count("\n") == 2
    first.terminate()
    first.wait(20)
    assert list(tmp_path.iterdir()) == []
    again = run("true", options=("--join", str(path)))
    assert again.returncode == 125 and "is it served by ipvssim run --serve?" in again.stderr


@needs()
def test_the_table_file_is_written_at_the_end(tmp_path: Path) -> None:
    """What the program did is in the file, for the next command."""
    table = tmp_path / "table"
    script = "import ipvsnl; ipvsnl.open('kernel').add_service(ipvsnl.Service('tcp', '192.0.2.1', 80, scheduler='rr'))"
    assert run(sys.executable, "-c", script, options=("--table", str(table))).returncode == 0
    assert "192.0.2.1" in table.read_text()


@needs("ipvsadm")
def test_programs_killed_at_any_moment_leave_nothing(tmp_path: Path) -> None:
    """SIGKILL to the program or to the run, Ctrl-C, stop and continue: nothing hangs, no process stays, and no file, a
    report of a fault of ours among them. (KILLS: how often, RUN_SEED: with which numbers.)"""
    surroundings = {**SURROUNDINGS, "TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    chance = random.Random(int(os.environ.get("RUN_SEED", "1")))
    for _ in range(int(os.environ.get("KILLS", "12"))):
        started = subprocess.Popen(
            [*RUN, "--", "sh", "-c", _BUSY, "sh", sys.executable, _WAIT], env=surroundings, cwd=tmp_path,
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert started.stdout is not None
        program = int(started.stdout.readline())
        time.sleep(chance.random() / 4)
        what = chance.choice(["program", "run", "interrupt", "stop"])
        if what == "stop":
            os.killpg(started.pid, signal.SIGSTOP)
            time.sleep(0.05)
            os.killpg(started.pid, signal.SIGCONT)
            time.sleep(0.05)
        if what == "interrupt":
            os.killpg(started.pid, signal.SIGINT)
        elif what == "run":
            started.kill()
        else:
            os.kill(program, signal.SIGKILL)
        started.wait(20)
        gone = time.monotonic() + 60
        while members(started.pid):
            assert time.monotonic() < gone, (what, members(started.pid))
            time.sleep(0.05)
        assert list(tmp_path.iterdir()) == [], what


_BUSY = """
echo $$
while :; do
    ipvsadm -A -t 192.0.2.1:80; ipvsadm -Ln; ipvsadm -C; cat /proc/net/ip_vs; "$1" -S -c "$2"
done >/dev/null 2>&1
"""
_WAIT = """
import socket
one = socket.socket(16, 3, 16)
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bytes(8) + (50000).to_bytes(8, "little"))
one.recv(9)
"""
"""A program that waits for a datagram, for a twentieth of a second."""


def members(session: int) -> list[str]:
    """The processes of a session that are no zombies."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(words[3]) == session and words[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (OSError, IndexError):
            continue
    return found
