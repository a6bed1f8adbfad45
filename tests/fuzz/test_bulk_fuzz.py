"""Rule text, columns and dumps in C under the sanitizers: the kept corpus, and mutations of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz import corpus, test_core_fuzz
from tests.fuzz.material import REPLIES
from tests.fuzz.test_core_fuzz import MUTATIONS, NATIVE, SANITIZERS, WARNINGS, _compile, _run, sources
from tests.places import DATA

__all__ = ["sources"]

RULES = DATA / "rules"
pytestmark = test_core_fuzz.pytestmark


@pytest.fixture(scope="module")
def fuzzer(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-alone driver."""
    directory = tmp_path_factory.mktemp("fuzz")
    probe = directory / "probe.c"
    probe.write_text("int main(void) { return 0; }\n")
    if _compile(*SANITIZERS, probe, "-o", directory / "probe").returncode:
        pytest.skip("this gcc has no sanitizers")
    binary = directory / "fuzz_bulk"
    harness = Path(__file__).parent / "fuzz_bulk.c"
    built = _compile(*WARNINGS, *SANITIZERS, "-DSTANDALONE", f"-I{NATIVE}", harness, *sources, "-o", binary)
    assert built.returncode == 0, built.stderr
    return binary


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The inputs that were kept, as files."""
    return list(map(str, corpus.unpack(tmp_path_factory.mktemp("kept"), "rules")))


def test_the_kept_corpus(fuzzer: Path, kept: list[str]) -> None:
    """What the fuzzer has found interesting so far is read without a sanitizer's complaint, and keeps every law."""
    assert len(kept) > 100
    _run(fuzzer, "0", "1", *kept)


def test_the_rule_files(fuzzer: Path) -> None:
    """So are the sample rule files, whose lines are all plain."""
    _run(fuzzer, "0", "1", *map(str, sorted(RULES.glob("*.rules"))))


@pytest.mark.parametrize("seed", [1, 2])
def test_mutations(fuzzer: Path, kept: list[str], seed: int, tmp_path: Path) -> None:
    """Mutations of the corpus and of recorded replies too."""
    files = kept[:: 1 if "IPVSNL_FUZZ" in os.environ else 4]
    for number, reply in enumerate([reply for reply in REPLIES if len(reply) < 1500][::40]):
        (tmp_path / str(number)).write_bytes(reply * 2)
        files.append(str(tmp_path / str(number)))
    _run(fuzzer, str(MUTATIONS), str(seed), *files)


def test_the_corpus_grows_by_what_is_new(tmp_path: Path) -> None:
    """An input is kept once, under the name that libFuzzer gives it; the same inputs make the same archive."""
    archive, found = tmp_path / "fuzz.tar.xz", tmp_path / "found"
    found.mkdir()
    for name in ("first", "again"):
        (found / name).write_bytes(b"-A -t 192.0.2.1:80\n")
    corpus.keep({"rules/a": b"-C\n"}, archive)
    empty = archive.read_bytes()
    corpus.keep({"rules/a": b"-C\n"}, archive)
    assert archive.read_bytes() == empty
    assert [corpus.add("rules", found, archive), corpus.add("rules", found, archive)] == [1, 0]
    names = [path.name for path in corpus.unpack(tmp_path, "rules", archive)]
    assert names == ["5e36a8a3dad66f02fac289614da20bf43e2d3b91", "a"]
    assert not corpus.unpack(tmp_path, "director", archive)
