"""The documents are held to what happens: every code block is run, every example prints what its page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import public_names
from tests.pages import BlockError, Runner, blocks

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


def environment(home: Path) -> dict[str, str]:
    """A user's own environment in a home of its own, with this environment's commands, on the simulated kernel."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        "PATH": path, "HOME": str(home), "IPVSNL_TARGET": f"sim:{home}/own.table", "LC_ALL": "C.UTF-8", "PYTHONPATH":
        os.pathsep.join(filter(None, (str(ROOT), str(ROOT / "sim"), os.environ.get("PYTHONPATH")))),
    }  # fmt: skip


def run(arguments: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    """This Python, in that home; both streams in one."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=home, env=environment(home), text=True, timeout=300,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_does_what_the_page_shows(tmp_path: Path, page: Path) -> None:
    """A page's blocks, in order, in an empty home: Python runs, commands print what stands under them; sketches say why."""
    if not any(True for _ in blocks(page)):
        return
    done = run(["-m", "tests.pages", str(page)], tmp_path)
    assert done.returncode == 0, done.stdout
    assert "blocks ran" in done.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_prints_what_stands_beside_it(tmp_path: Path, example: Path) -> None:
    """``docs/examples/NAME.py`` writes ``NAME.out``, and a docstring says what it shows."""
    assert example.read_text().startswith('"""')
    arguments = [str(example)]
    if "def test_" in example.read_text():
        options = ["-q", "--no-header", "-p", "no:cacheprovider", "-rN", f"--rootdir={tmp_path}"]
        arguments = ["-m", "pytest", *options, *arguments]
    done = run(arguments, tmp_path)
    found = re.sub(r" in \d+\.\d+s", "", done.stdout)  # pytest says how long it took
    if re.search(r"^\d+ skipped$", found, re.MULTILINE):
        pytest.skip(f"{example.name} needs a program that is not installed")
    assert found == example.with_suffix(".out").read_text()
    assert done.returncode == 0


def test_every_example_is_in_the_list() -> None:
    """docs/use/examples.md names each example, so that a reader finds it."""
    listed = (DOCS / "use" / "examples.md").read_text()
    assert [one.name for one in EXAMPLES if f"examples/{one.name}" not in listed] == []
    assert 8 <= len(EXAMPLES) <= 14


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """No page links to a file that is not there, or to a heading that is not there."""
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        there = page.parent / target if target else page
        assert there.exists(), f"{page.name} links to {target}"
        if anchor and there.suffix == ".md":
            assert anchor in headings(there), f"{page.name} links to {target}#{anchor}"


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub and the site make them of its headings; and the names that a reference page shows."""
    text = page.read_text()
    found = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}
    return slugs | set(re.findall(r"^::: (\S+)$", text, re.MULTILINE))


def missing_cases(page: str) -> list[str]:
    """The tests that a page names as ``file::name`` (a bare name is of the file before it) and that are not there."""
    missing, file = [], ""
    for named, name in re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", page):
        file = named or file
        path = ROOT / "tests" / file
        if not path.is_file() or f"def {name}(" not in path.read_text():
            missing.append(f"{file}::{name}")
    return missing


def test_every_case_of_a_fault_is_there() -> None:
    """Each row of docs/inside/faults.md names tests, and they exist; one that does not is found."""
    page = (DOCS / "inside" / "faults.md").read_text()
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| fault |", "| --- |"))
    ]
    assert len(rows) > 50 and all("::test_" in row for row in rows)
    assert not missing_cases(page)
    assert missing_cases("`test_docs.py::test_links_between_pages_lead_somewhere`, `test_gone`, `no.py::test_it`") == [
        "test_docs.py::test_gone",
        "no.py::test_it",
    ]


def test_every_report_is_answered() -> None:
    """Each row of docs/inside/reports.md names a report once, and a test that is there or that it is not modelled."""
    page = (DOCS / "inside" / "reports.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| [\w-]+/[\w.-]+#\d+ \|", line)]
    assert len({row.split(" | ")[0] for row in rows}) == len(rows) >= 62
    tested = [row for row in rows if "::test_" in row]
    assert len(tested) >= 40 and all("not modelled" in row for row in rows if row not in tested)
    assert not missing_cases(page)


def test_every_public_name_has_a_docstring() -> None:
    """A public class, function, method, property or constant says what it is."""
    assert public_names.undocumented() == []


def test_every_public_name_is_on_a_page_of_the_reference() -> None:
    """What can be imported can be looked up."""
    assert public_names.unlisted() == []


def test_a_name_that_is_not_documented_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name on no page, a class without a docstring and a method without one are each named."""
    import ipvsnl

    class Bare:
        def method(self) -> None:
            """Says something."""

    (tmp_path / "page.md").write_text("::: ipvsnl.IPVS\n")
    monkeypatch.setattr(public_names, "PAGES", tmp_path)
    assert "ipvsnl.IPVS" not in public_names.unlisted()
    assert "ipvsnl.Plan" in public_names.unlisted()
    monkeypatch.setattr(ipvsnl, "Plan", Bare)
    assert public_names.undocumented() == ["ipvsnl.Plan"]
    Bare.method.__doc__ = None
    Bare.__doc__ = "A class."
    assert public_names.undocumented() == ["ipvsnl.Plan.method"]


# --- the runner itself ---


def page_of(folder: Path, text: str) -> Path:
    """A page."""
    page = folder / "page.md"
    page.write_text(text)
    return page


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("```python\nprint(1)\n```\n\n```text\n2\n```\n", "printed"),
        ("```console\n$ echo one\ntwo\n```\n", "printed"),
        ("```console\necho one\n```\n", "no command"),
        ("```sh\ntrue\n```\n", "nothing runs 'sh'"),
        ("```\ntrue\n```\n", "without a language"),
        ("```text\nout of nowhere\n```\n", "right above"),
        ("Words:\n\n    ipvsnl -Ln\n", "indented"),
        ("<!-- sketch: -->\n```sh\ntrue\n```\n", "nothing runs 'sh'"),
        ("```python\ndef test_it():\n    assert False\n```\n", "1 failed"),
        ('```toml\ntitle = "no traffic"\nseeds = "many"\n```\n', "seeds"),
        ('```json\n{"ipvsnl": 2}\n```\n', "ipvsnl"),
    ],
)
def test_a_wrong_block_is_found(tmp_path: Path, text: str, why: str) -> None:
    """Each kind of block that is wrong, or that nobody would run, fails its page."""
    done = run(["-m", "tests.pages", str(page_of(tmp_path, text))], tmp_path)
    assert done.returncode == 1
    assert why in done.stdout


def test_blocks_of_a_page_know_what_went_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python keeps its names, commands their exported variables and files; a command may go on in a second line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORD", "before")
    text = (
        "```console\n$ export WORD=after\n$ cat > file <<END\n> one\n> END\n$ cat file; echo $WORD\none\nafter\n```\n"
        "```python\nheld = open('file').read()\n```\n\n"
        "```python\nprint(held, end='')\n```\n\n```text\none\n```\n"
        "<!-- sketch: only a drawing of something -->\n```\n-->\n```\n"
    )
    runner = Runner(page_of(tmp_path, text))
    runner.run()
    assert (runner.ran, runner.sketches) == (4, 1)


def test_a_page_that_is_only_indented_is_refused(tmp_path: Path) -> None:
    """Code by indentation has no language, so nobody could say how it is run; a list's second line is no code."""
    assert list(blocks(page_of(tmp_path, "- one\n\n    its second paragraph\n"))) == []
    with pytest.raises(BlockError):
        list(blocks(page_of(tmp_path, "Words\n\n    code\n")))
