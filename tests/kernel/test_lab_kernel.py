"""The laboratory's own tests: a command in the guest behaves as it does outside, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import ipvsnl
from ipvsnl import lab_kernel
from ipvsnl.lab_kernel import image, places

pytestmark = pytest.mark.kernel
PACKAGE = Path(ipvsnl.__file__).parent
MEMORY = f"{480 + os.getpid() % 100}M"  # tells these kernels from others of this machine
COMMAND = [sys.executable, "-m", "ipvsnl.lab_kernel", "--as-root", "--memory", MEMORY, "--timeout", "60"]


def lab(
    *command: str, stdin: str = "", cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--", *command],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=90,
        cwd=cwd,
        env=env,
    )


def kernels() -> set[int]:
    """The processes of this test run's kernels."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"mem={MEMORY}".encode() in path.read_bytes().split(b"\0"):
                found.add(int(path.parent.name))
    return found


def gone(before: set[int], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not kernels() <= before and time.monotonic() < end:
        time.sleep(0.1)
    return kernels() <= before


def left_over() -> set[Path]:
    """What a kernel could have left: names with uml in them, and the directories of sockets in ~/.uml."""
    places = [Path("/tmp"), Path("/dev/shm"), Path.home(), Path("/lib"), Path("/run")]
    found = {path for place in places for path in place.iterdir() if "uml" in re.split("[-.]", path.name)}
    return found | set((Path.home() / ".uml").glob("*"))


@pytest.fixture(autouse=True)
def nothing_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No process, no directory of sockets, no file in the temporary directories stays. What stood before may."""
    tmp_path_factory.getbasetemp()
    before, files = kernels(), left_over()
    yield
    assert gone(before)
    assert left_over() <= files


def test_streams_and_status() -> None:
    done = lab("sh", "-c", "echo out; echo err >&2; id -u; uname -r; exit 7")
    assert (done.returncode, done.stderr) == (7, "err\n")
    assert done.stdout.split() == ["out", "0", lab_kernel.kernel_release()]


@pytest.mark.parametrize(("command", "status"), [("no-such-command", 127), ("/etc/passwd", 126), ("kill -9 $$", 137)])
def test_failures(command: str, status: int) -> None:
    assert lab(*(("sh", "-c", command) if " " in command else (command,))).returncode == status


def test_directory_environment_files(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from outside")
    done = lab(
        "sh",
        "-c",
        'pwd; echo "$LAB"; cat given; echo from inside > made',
        cwd=tmp_path,
        env={**os.environ, "LAB": "a b\n'c'"},
    )
    assert done.stdout == f"{tmp_path}\na b\n'c'\nfrom outside"
    assert (tmp_path / "made").read_text() == "from inside\n"


def test_input_and_much_output() -> None:
    text = "".join(f"{number}\n" for number in range(50000))
    assert lab("cat", stdin=text).stdout == text


def test_live() -> None:
    command = [*COMMAND, "--", "sh", "-c", "echo first; sleep 3; echo second"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "first\n"
        seen = time.monotonic()
        assert run.stdout.readline() == "second\n"
        assert time.monotonic() - seen > 2


def test_ipvs_is_there() -> None:
    add = "ipvsadm -A -t 10.1.0.1:80 -s mh && ipvsadm -a -t 10.1.0.1:80 -r 10.0.0.1 -g && ipvsadm -Sn"
    done = lab("sh", "-c", add)
    assert done.stdout.splitlines() == ["-A -t 10.1.0.1:80 -s mh", "-a -t 10.1.0.1:80 -r 10.0.0.1:80 -g -w 1"], (
        done.stderr
    )


def test_timeout() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [*COMMAND[:-1], "6", "--", "sleep", "60"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, time.monotonic() - began < 9) == (124, True)
    assert "6 seconds" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("moment", ["boot", "command"])
def test_interrupt(number: signal.Signals, moment: str) -> None:
    before = kernels()
    command = [*COMMAND, "--", "sh", "-c", "echo go; exec sleep 60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as run:
        assert run.stdout is not None
        if moment == "boot":
            while kernels() <= before and run.poll() is None:
                time.sleep(0.01)
        else:
            assert run.stdout.readline() == "go\n"
        run.send_signal(number)
        assert run.wait(5) == (-9 if number == signal.SIGKILL else 128 + number)
    assert gone(before)


def test_on_a_terminal() -> None:
    """Terminals inside where there are terminals outside; Ctrl-C reaches the command."""
    child, fd = pty.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background has it ignored, and hands that on
        os.execv(
            COMMAND[0],
            [*COMMAND, "--", "sh", "-c", "test -t 0 && test -t 1 && echo ready; read x; echo got $x; sleep 60"],
        )
    seen = b""
    while b"got hello" not in seen:
        seen += os.read(fd, 4096)
        if b"ready" in seen and b"hello" not in seen:
            os.write(fd, b"hello\n")
    time.sleep(0.5)  # while the shell turns into sleep an interrupt may be lost: a user types later
    os.write(fd, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    os.close(fd)


def test_from_python() -> None:
    done = lab_kernel.run(
        ["sh", "-c", "cat; echo $A >&2; exit 3"],
        timeout=60,
        env={"A": "b", "PATH": "/usr/bin:/bin"},
        input=b"in",
        memory=MEMORY,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, b"in", b"b\n")
    with pytest.raises(subprocess.TimeoutExpired):
        lab_kernel.run(["sleep", "60"], timeout=5, memory=MEMORY)


def test_an_ordinary_users_command_finds_roots_tools() -> None:
    done = lab_kernel.run(
        ["sh", "-c", "command -v ipvsadm ip tc"], timeout=60, env={"PATH": "/usr/bin:/bin"}, memory=MEMORY
    )
    assert done.returncode == 0, done.stdout


def test_boot_failure_shows_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(lab_kernel.BootError, match=r"did not boot(.|\n)*(init|panic)"):
        lab_kernel.run(["true"], timeout=30, memory=MEMORY)


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MODULES", "/nonexistent")
    with pytest.raises(lab_kernel.MissingError, match="apt-get install user-mode-linux"):
        lab_kernel.run(["true"])


def test_the_program_has_it_as_a_sub_command() -> None:
    """`ipvsnl lab-kernel` takes the command with -- before it and without, and passes its exit status on."""
    command = [sys.executable, "-m", "ipvsnl", "lab-kernel", "--as-root", "--memory", MEMORY, "--timeout", "60"]
    done = subprocess.run([*command, "--", "ipvsadm", "-Ln"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("IP Virtual Server")
    bare = [*command, "sh", "-c", "exit $1", "--", "3"]
    assert subprocess.run(bare, stdin=subprocess.DEVNULL).returncode == 3


def test_paths_with_blanks(tmp_path: Path) -> None:
    """The guest finds its program and its modules in directories with blanks in their names, too."""
    home = tmp_path / "a user's files"
    shutil.copytree(PACKAGE, home / "ipvsnl", ignore=shutil.ignore_patterns("__pycache__", "_native"))
    (home / "kernel modules").symlink_to(places.MODULES)
    env = {**os.environ, "PYTHONPATH": str(home), "IPVSNL_LAB_MODULES": str(home / "kernel modules")}
    done = lab("ipvsadm", "-Ln", cwd=home, env=env)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else; run as a user, all tests show it")
def test_as_an_ordinary_user() -> None:
    """With the files that it may read: root's home is closed to others, so a system Python or a copy is needed."""
    interpreter = next((path for path in ("/usr/bin/python3", sys.executable) if readable(path)), None)
    if interpreter is None:
        pytest.skip(
            "no Python that user 65534 can run (this one is in a closed directory, and there is no /usr/bin/python3)"
        )
    place = Path("/tmp") / f"uml-test-{os.getpid()}"
    shutil.copytree(PACKAGE, place / "ipvsnl", ignore=shutil.ignore_patterns("__pycache__", "_native"))
    place.chmod(0o777)
    try:
        user = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "env",
            "-i",
            f"PATH={os.environ['PATH']}",
            f"HOME={place}",
        ]
        done = subprocess.run(
            [
                *user,
                interpreter,
                "-m",
                "ipvsnl.lab_kernel",
                "--memory",
                MEMORY,
                "--",
                "sh",
                "-c",
                "id -u; ipvsadm -Ln | head -1; echo x > made",
            ],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert done.stdout.splitlines()[0] == "0", done.stderr
        assert "IP Virtual Server" in done.stdout
        assert (place / "made").stat().st_uid == 65534
    finally:
        shutil.rmtree(place)


def readable(path: str) -> bool:
    return (
        Path(path).exists()
        and not subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", path, "-c", ""], stderr=subprocess.DEVNULL
        ).returncode
    )
