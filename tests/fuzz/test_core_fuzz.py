"""The C core under AddressSanitizer and UndefinedBehaviorSanitizer, over the recorded replies and mutations of them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fuzz.material import REPLIES, REQUESTS
from tests.places import ROOT

NATIVE = ROOT / "ipvsnl" / "_native"
WARNINGS = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
MUTATIONS = int(os.environ.get("IPVSNL_FUZZ", "50000"))
"""Mutated inputs of a run."""
COMPILER = shutil.which("gcc") or ""

pytestmark = pytest.mark.skipif(not COMPILER, reason="there is no gcc")


def _compile(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMPILER, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def sources() -> list[Path]:
    """The C files, with their generated headers beside them."""
    pytest.importorskip("cffi")
    from ipvsnl._native import build

    build.generate()
    return [NATIVE / name for name in build.SOURCES]


@pytest.fixture(scope="module")
def fuzzer(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-alone driver."""
    directory = tmp_path_factory.mktemp("fuzz")
    probe = directory / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    if _compile(*SANITIZERS, probe, "-o", directory / "probe").returncode:
        pytest.skip("this gcc has no sanitizers")
    binary = directory / "fuzz_core"
    harness = Path(__file__).parent / "fuzz_core.c"
    built = _compile(*WARNINGS, *SANITIZERS, "-DSTANDALONE", f"-I{NATIVE}", harness, *sources, "-o", binary)
    assert built.returncode == 0, built.stderr
    return binary


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The recorded datagrams as files, without the longest (they repeat what a short one has)."""
    directory = tmp_path_factory.mktemp("corpus")
    files = []
    for number, datagram in enumerate([*REPLIES, *REQUESTS]):
        if len(datagram) <= 1500:
            files.append(directory / f"{number:04}")
            files[-1].write_bytes(datagram)
    return files


def _run(fuzzer: Path, *arguments: str, stdin: bytes = b"") -> None:
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run([str(fuzzer), *arguments], input=stdin, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def test_our_code_compiles_without_a_warning(sources: list[Path], tmp_path: Path) -> None:
    """Strict C11 with -Wconversion as errors, for each of our files and without cffi's flags."""
    for source in sources:
        built = _compile(
            *WARNINGS, "-Wshadow", "-Wcast-qual", "-O2", f"-I{NATIVE}", "-c", source, "-o", tmp_path / "out.o"
        )
        assert built.returncode == 0, built.stderr


def test_the_warnings_bind(tmp_path: Path, sources: list[Path]) -> None:
    """A strict build refuses a lossy conversion in a file that includes internal.h, whatever its command line."""
    lossy = tmp_path / "lossy.c"
    lossy.write_text('#include "internal.h"\nuint16_t lossy(uint32_t x);\nuint16_t lossy(uint32_t x) { return x; }\n')
    arguments = [f"-I{NATIVE}", "-c", str(lossy), "-o", str(tmp_path / "out.o")]
    assert "-Werror=conversion" in _compile("-DIPVSNL_STRICT", *arguments).stderr
    assert _compile(*arguments).returncode == 0, "outside of a strict build it is a warning"


def test_recorded_datagrams(fuzzer: Path, corpus: list[Path]) -> None:
    """Every recorded datagram is read without a sanitizer's complaint, and so is nothing at all."""
    assert len(corpus) > 1000
    _run(fuzzer, "0", "1", *map(str, corpus))
    _run(fuzzer)
    _run(fuzzer, stdin=REPLIES[-1])


@pytest.mark.parametrize("seed", [1, 2])
def test_mutated_datagrams(fuzzer: Path, corpus: list[Path], seed: int) -> None:
    """Mutations of them too; and what the core reads from them it writes and reads again the same."""
    _run(fuzzer, str(MUTATIONS // 2), str(seed), *map(str, corpus))
