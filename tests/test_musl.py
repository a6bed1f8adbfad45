"""Our C with musl's headers, which promise less than glibc's: what one C library's take, the other's may refuse."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.places import ROOT

HEADERS = Path("/usr/include")
ROOMS = {
    "core": (ROOT / "ipvsnl/_native", "*/*.c"),
    "lane": (ROOT / "sim/ipvssim/lane", "*.c"),
    "held": (ROOT / "sim/ipvssim/run/_held", "*.c"),
}
"""Where our C is, and what of it is ours: cffi writes the rest, beside it or above it."""
GENERATED = ("_core.c", "_lane.c", "_held.c")


@pytest.fixture
def kernel_headers(tmp_path: Path) -> Path:
    """The kernel's headers without the C library's, beside which they lie: musl brings none of its own."""
    machine = subprocess.run(["cc", "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
    for name, place in (("linux", HEADERS), ("asm-generic", HEADERS), ("asm", HEADERS / machine)):
        (tmp_path / name).symlink_to(place / name)
    return tmp_path


@pytest.mark.skipif(shutil.which("musl-gcc") is None, reason="musl-gcc is not installed (Debian: musl-tools)")
@pytest.mark.parametrize("room", ROOMS)
def test_our_c_compiles_with_musl_as_strictly_as_with_glibc(room: str, kernel_headers: Path) -> None:
    """The build of a wheel for musl is strict, too, and no other test of ours makes one."""
    if room == "core":
        pytest.importorskip("cffi")
        from ipvsnl._native import build

        build.generate()
    folder, ours = ROOMS[room]
    sources = sorted(path for path in folder.glob(ours) if path.name not in GENERATED)
    assert sources
    done = subprocess.run(
        ["musl-gcc", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-DIPVSNL_STRICT", "-idirafter", str(kernel_headers),
         f"-I{folder}", *map(str, sources)], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
