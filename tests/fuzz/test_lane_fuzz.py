"""The express lane's C under AddressSanitizer and UndefinedBehaviorSanitizer, over orders and packets of chance."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ipvssim.lane.build import HERE, SOURCES
from tests.fuzz import corpus

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wcast-qual", "-Werror"]
SANITIZERS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
INPUTS = os.environ.get("IPVSNL_FUZZ", "2000")
COMPILER = shutil.which("gcc") or ""

pytestmark = pytest.mark.skipif(not COMPILER, reason="there is no gcc")


def _compile(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPILER, *map(str, arguments)], capture_output=True, text=True)


def test_our_code_compiles_without_a_warning(tmp_path: Path) -> None:
    """-Wconversion and its kind as errors, for each of the lane's files and without cffi's flags."""
    for name in SOURCES:
        built = _compile(*WARNINGS, "-O2", "-c", HERE / name, "-o", tmp_path / "out.o")
        assert built.returncode == 0, built.stderr


@pytest.mark.parametrize("name", ["fuzz_lane", "fuzz_capture"])
def test_orders_of_chance(name: str, tmp_path: Path) -> None:
    """No order, no packet and no capture makes the lane read or write past its memory, lose a connection, or leak: those of
    the kept corpus, and others."""
    probe = tmp_path / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    if _compile(*SANITIZERS, probe, "-o", tmp_path / "probe").returncode:
        pytest.skip("this gcc has no sanitizers")
    binary, harness = tmp_path / name, Path(__file__).parent / f"{name}.c"
    sources = [HERE / name for name in SOURCES]
    built = _compile(
        "-Wall", "-Wextra", "-Werror", *SANITIZERS, "-DSTANDALONE", f"-I{HERE}", harness, *sources, "-o", binary
    )
    assert built.returncode == 0, built.stderr
    found = corpus.unpack(tmp_path, name.removeprefix("fuzz_"))
    assert len(found) > 100, "what libFuzzer has found interesting in an hour"
    done = subprocess.run([str(binary), INPUTS, "1", *map(str, found)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
