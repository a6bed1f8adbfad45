"""The command line as a process: the guide's session, and real rule files through restore and save."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import DATA

RULES = DATA / "rules"
COMMAND = Path(sys.executable).with_name("ipvsnl")


def ipvsnl(table: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One command on the simulated kernel whose table is in that file."""
    return subprocess.run(
        [str(COMMAND), "--target", f"sim:{table}", *arguments], input=stdin, capture_output=True, text=True, timeout=120
    )


def test_the_guides_session_is_what_ipvsadm_makes_of_it(tmp_path: Path) -> None:
    """Every step of the guide prints what the real ipvsadm printed on the real kernel (recorded), byte for byte."""
    table = tmp_path / "table"
    for step in json.loads((DATA / "e2e" / "guide.json").read_text()):
        done = ipvsnl(table, *step["args"].split(), stdin=step["stdin"] or "")
        assert (done.returncode, done.stdout, done.stderr) == (step["rc"], step["stdout"], step["stderr"]), step["args"]


@pytest.mark.parametrize("name", ["guide", "mixed", "farm-1x4000", "cluster-10k", "cluster-100k"])
def test_a_rule_file_survives_restore_and_save(tmp_path: Path, name: str) -> None:
    """What was saved by ipvsadm, restored and saved again, is the same file."""
    path = RULES / f"{name}.rules"
    text = path.read_text() if path.exists() else lzma.decompress(Path(f"{path}.xz").read_bytes()).decode()
    restored = ipvsnl(tmp_path / "table", "-R", stdin=text)
    assert (restored.returncode, restored.stdout, restored.stderr) == (0, "", "")
    saved = ipvsnl(tmp_path / "table", "-Sn")
    assert saved.returncode == 0 and saved.stdout == text


def test_a_bad_line_is_named_and_the_rest_is_loaded(tmp_path: Path) -> None:
    """A refused rule is named by file, line and text beside ipvsadm's own message; the others stand."""
    good = (RULES / "mixed.rules").read_text()
    bad = "-a -t 203.0.113.99:80 -r 10.0.0.1:80 -m\n"
    done = ipvsnl(tmp_path / "table", "-R", stdin=good + bad + "-A -t 203.0.113.98:80 -s rr\n")
    number = good.count("\n") + 1
    assert done.stderr == f"Service not defined\n<stdin>:{number}: {bad.strip()}: Service not defined\n"
    assert "203.0.113.98:80" in ipvsnl(tmp_path / "table", "-Ln").stdout


def test_a_foreign_table_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A file that is no table is never overwritten; the message names it."""
    foreign = tmp_path / "notes.txt"
    foreign.write_text("my notes\n")
    for arguments in (["-Ln"], ["-A", "-t", "192.0.2.1:80"], ["-C"]):
        done = ipvsnl(foreign, *arguments)
        assert done.returncode not in (0, None) and str(foreign) in done.stderr
        assert foreign.read_text() == "my notes\n"


def test_the_kernel_is_never_silently_the_simulator() -> None:
    """Without IPVS in reach the default target says why, and names the simulator."""
    done = subprocess.run([str(COMMAND), "-Ln"], capture_output=True, text=True)
    if done.returncode == 0:
        pytest.skip("this machine's kernel has IPVS and lets us at it")
    assert done.returncode == 2 and done.stdout == ""
    assert "Can't initialize ipvs" in done.stderr and "--target sim" in done.stderr
