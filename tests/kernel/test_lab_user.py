"""Whose process the laboratory's kernel is, where root starts it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else"),
    pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a Python that everybody can read"),
]


def lab(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The laboratory with the machine's own Python, which any user can read."""
    plain = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        ["/usr/bin/python3", "-m", "ipvsnl.lab_kernel", "--timeout", "60", *words],
        capture_output=True, text=True, cwd=cwd, env=plain, timeout=90,
    )  # fmt: skip


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach and write to; pytest keeps its own to itself."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)


def test_what_the_guest_writes_is_an_ordinary_users(open_folder: Path) -> None:
    """Root in the guest is nobody outside: its files are nobody's, and it makes no device. One line says so."""
    done = lab("--", "sh", "-c", "id -u; echo x > made; mknod device b 7 0 || echo refused", cwd=open_folder)
    assert done.returncode == 0, done.stderr
    assert "a process of nobody" in done.stderr.splitlines()[0]
    assert done.stdout.split() == ["0", "refused"]
    assert (open_folder / "made").owner() == "nobody"
    assert not (open_folder / "device").exists()


def test_sudo_and_a_name_say_who(open_folder: Path) -> None:
    """Who called sudo; whom --user names; root where it is asked for, in silence."""
    cases: list[tuple[list[str], str]] = [([], "daemon"), (["--user", "games"], "games"), (["--as-root"], "root")]
    for words, owner in cases:
        done = lab(*words, "--", "sh", "-c", f"echo x > {owner}", cwd=open_folder, SUDO_UID="1")
        assert done.returncode == 0, done.stderr
        assert (owner == "root") == (done.stderr == "")
        assert (open_folder / owner).owner() == owner


def test_who_can_not_read_the_program_is_told_so(open_folder: Path) -> None:
    """One line, and what to do about it, instead of a kernel that dies of it."""
    package = open_folder / "closed"
    package.mkdir(mode=0o700)
    (package / "ipvsnl").symlink_to(ROOT / "ipvsnl")
    kernel = package / "linux.uml"
    kernel.symlink_to("/usr/bin/linux.uml")
    done = lab("--", "true", cwd=open_folder, IPVSNL_LAB_KERNEL=str(kernel))
    assert done.returncode == 69
    assert "nobody can't read" in done.stderr and "--as-root" in done.stderr


def test_path_does_not_choose_the_programs(open_folder: Path) -> None:
    """A linux.uml or cc that lies first on the caller's PATH is not started."""
    for name in ("linux.uml", "cc", "gcc"):
        (open_folder / name).write_text(f"#!/bin/sh\ntouch {open_folder}/started\nexit 1\n")
        (open_folder / name).chmod(0o755)
    done = lab("--", "true", cwd=open_folder, PATH=f"{open_folder}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert not (open_folder / "started").exists()
