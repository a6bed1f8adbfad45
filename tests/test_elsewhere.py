"""On macOS and Windows everything but the way to the kernel works: those systems, as far as they can be played here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import architecture, elsewhere
from tests.places import DATA, ROOT

RULES = "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1\n-A -t [2001:db8::1]:80 -s rr\n"
pytestmark = pytest.mark.parametrize("system", elsewhere.SYSTEMS)
LEFT_OUT = (
    "ipvsnl._native._core", "ipvsnl.backends.native", "ipvsnl.backends._native", "ipvssim.net.scapy_packets",
    "ipvssim.doors.capture", "ipvssim.doors.pytest_plugin", "ipvssim.replay",
    "ipvssim.run.", "ipvssim.doors.running",
)  # fmt: skip
"""What stands on the C core (compiled for Linux), on scapy (it looks for the real Windows), on pytest, or on Linux's system
calls, or only runs."""


def test_every_module_can_be_imported(system: str, tmp_path: Path) -> None:
    """No module needs, to be imported, what only Linux or only Unix has."""
    names = [
        name for name in architecture.modules(ROOT) if not name.startswith(LEFT_OUT) and not name.endswith("__main__")
    ]
    names += ["ipvssim.run.system"]
    code = f"import importlib, sys\nfor name in {names}: importlib.import_module(name)\nprint(sys.platform)"
    done = elsewhere.run(system, tmp_path, "-c", code)
    assert (done.stdout, done.stderr) == (f"{system}\n", "")


def test_a_table_lives_in_a_file(system: str, tmp_path: Path) -> None:
    """Restored, listed with both families, saved, changed by plan and apply; in the file's and in no file's table."""
    ours = ("-m", "ipvsnl", "--target", "sim:t.table")
    for _ in range(2):  # a new file, and one that is replaced
        done = elsewhere.run(system, tmp_path, *ours, "-R", stdin="-C\n" + RULES)
        assert (done.returncode, done.stderr) == (0, "")
    assert elsewhere.run(system, tmp_path, *ours, "-Sn").stdout == RULES
    assert "2001:db8::1" in elsewhere.run(system, tmp_path, *ours, "-Ln").stdout
    (tmp_path / "wanted").write_text(RULES + "-A -f 3 -s rr\n")
    done = elsewhere.run(system, tmp_path, *ours, "apply", "wanted")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2001:db8::1" in elsewhere.run(system, tmp_path, *ours, "top", "--once").stdout
    done = elsewhere.run(system, tmp_path, "-m", "ipvsnl", "--target", "sim::memory:", "-Ln")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_kernel_is_refused_in_one_line(system: str, tmp_path: Path) -> None:
    """The reason names the system; the same for a namespace, a real kernel in a laboratory, and a socket (Windows)."""
    for options in (("--target", "kernel", "-Ln"), ("--netns", "blue", "-Ln"), ("-Ln",), ("lab-kernel", "true")):
        done = elsewhere.run(system, tmp_path, "-m", "ipvsnl", *options)
        assert done.returncode and len(done.stderr.splitlines()) == 1 and system in done.stderr, done.stderr


def test_a_trace_is_replayed(system: str, tmp_path: Path) -> None:
    """The simulator decides there what it decides here."""
    trace = DATA / "traces" / "real-frag.trace"
    done = elsewhere.run(system, tmp_path, "-m", "ipvssim", "replay", "--check", str(trace))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_laboratory_runs(system: str, tmp_path: Path) -> None:
    """A scenario of the gallery: in processes of its own that begin anew, and (as the libraries can't be played) in none."""
    jobs = "2" if system == "darwin" else "1"
    done = elsewhere.run(
        system, tmp_path, "-m", "ipvssim", "lab", "run", "nat-client", "--small", "--seeds", "1", "--quiet",
        "--jobs", jobs,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "") and "wlc" in done.stdout


def test_programs_are_not_run(system: str, tmp_path: Path) -> None:
    """``ipvssim run`` says in a line that it is for Linux, and its help is there."""
    done = elsewhere.run(system, tmp_path, "-m", "ipvssim", "run", "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == f"ipvssim run: only Linux can hold a program's system calls, and this is {system}\n"
    assert elsewhere.run(system, tmp_path, "-m", "ipvssim", "run", "--help").returncode == 0
    code = "import ipvssim\ntry: ipvssim.Kernel().run(['true'])\nexcept Exception as no: print(type(no).__name__, no)"
    said = elsewhere.run(system, tmp_path, "-c", code).stdout
    assert said == f"RunError only Linux can hold a program's system calls, and this is {system}\n"
