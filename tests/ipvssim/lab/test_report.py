"""Reports: HTML that needs nothing else and draws every chart in a real browser, and pictures for papers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from ipvssim.lab import Outcome, Scenario, load, report, simulate
from ipvssim.lab.show import terminal
from ipvssim.lab.show.figures import names, summaries

BROWSER = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--enable-logging=stderr", "--v=0", "--window-size=1200,2600", "--virtual-time-budget=4000",
]  # fmt: skip
CHARTS = ("comparison", "skew", "load", "heat")


@pytest.fixture(scope="module")
def compared() -> tuple[Scenario, list[Outcome]]:
    scenario = load("failure").small.changed({"compare": ["rr", "sh", "mh"]})
    return scenario, [simulate(scenario, variant, seed) for variant in scenario.compare for seed in (1, 2)]


def test_the_page_stands_alone(compared: tuple[Scenario, list[Outcome]], tmp_path: Path) -> None:
    """The page names no other file and no host, its data is whole, and what a scenario says is escaped."""
    scenario, outcomes = compared
    hostile = scenario.changed({"title": "</script><script>alert(1)</script>"})
    (path,) = report(hostile, outcomes, tmp_path, ["html"])
    text = path.read_text()
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert "<script>alert" not in text
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert [one["name"] for one in data["variants"]] == ["rr", "sh", "mh"]
    assert data["first"] == "moved"
    assert len(data["variants"][0]["loads"]) == 8


@pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium")
def test_a_browser_draws_every_chart(compared: tuple[Scenario, list[Outcome]], tmp_path: Path) -> None:
    """In headless Chromium every chart is drawn with all of its marks, nothing is said on the console, and there is a
    picture of it."""
    assert BROWSER is not None
    (path,) = report(*compared, tmp_path, ["html"])
    base = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*base, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    assert "CONSOLE" not in done.stderr, done.stderr
    assert 'data-ready="yes"' in done.stdout
    drawn = dict(re.findall(r'id="(\w+)" data-drawn="(\w+)"', done.stdout))
    assert set(drawn) == set(CHARTS)
    outcome = compared[1][0]
    assert drawn == {
        "comparison": str(3 * len(names(summaries(compared[1])))), "skew": "3", "load": "8",
        "heat": str(len(outcome.heat) * len(outcome.servers)),
    }  # fmt: skip
    marks = len(re.findall(r'class="[^"]*\bmark\b', done.stdout))
    assert marks == sum(map(int, drawn.values()))
    assert "NaN" not in re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    shot = tmp_path / "page.png"
    subprocess.run([*base, f"--screenshot={shot}", path.as_uri()], capture_output=True, timeout=60, check=True)
    assert shot.read_bytes().startswith(b"\x89PNG")


def boxes(page: Path, width: int, tmp_path: Path) -> str:
    """The page's own width, and of its tables and charts what is wider than the place that they have."""
    assert BROWSER is not None
    asking = """<script>
        const wide = [...document.querySelectorAll("table, .chart")].filter(
            (one) => one.scrollWidth > one.parentElement.clientWidth).length;
        const looks = new Set([...document.querySelectorAll("#skew .lines path")].map(
            (one) => one.style.stroke + one.getAttribute("stroke-dasharray"))).size;
        document.documentElement.dataset.wide = `${document.documentElement.scrollWidth} ${wide} ${looks}`;
    </script>"""
    asked = tmp_path / "asked.html"
    asked.write_text(page.read_text().replace("</body>", asking + "</body>"))
    flags = [*FLAGS, f"--window-size={width},2600", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([BROWSER, *flags, "--dump-dom", asked.as_uri()], capture_output=True, text=True, timeout=60)
    found = re.search(r'data-wide="([^"]*)"', done.stdout)
    assert found is not None
    return found[1]


@pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium")
@pytest.mark.parametrize("width", [1300, 800])
def test_nothing_is_cut_and_no_two_lines_look_alike(width: int, tmp_path: Path) -> None:
    """With thirteen ways of scheduling and an event the tables fit a page of that width, and each line has its own look."""
    scenario = load("failure").small
    outcomes = [simulate(scenario, variant, 1) for variant in scenario.compare]
    (path,) = report(scenario, outcomes, tmp_path, ["html"])
    assert boxes(path, width, tmp_path) == f"{width} 0 {len(scenario.compare)}"


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_terminal_cuts_no_figure(width: int) -> None:
    """However long the names are, figures are whole: there are fewer of them, and no drawing, where there is no room."""
    scenario = load("persistence").small
    found = summaries([simulate(scenario, variant, seed) for variant in scenario.compare for seed in (1, 2)])
    console = Console(width=width, record=True, file=StringIO())
    terminal.show(console, scenario, found)
    shown = console.export_text()
    assert "…" not in shown
    assert shown.count("±") >= len(scenario.compare)
    assert ("over time" in shown) == (width >= 100)


def test_pictures(compared: tuple[Scenario, list[Outcome]], tmp_path: Path) -> None:
    """PNG and SVG of the comparison and of clients by server,; none is empty."""
    scenario, outcomes = compared
    paths = report(scenario, outcomes, tmp_path, ["png", "svg"])
    assert [path.name for path in paths] == [
        "failure.png", "failure.svg", "failure-clients.png", "failure-clients.svg",
    ]  # fmt: skip
    for path in paths:
        data = path.read_bytes()
        assert len(data) > 10_000
        assert data.startswith(b"\x89PNG" if path.suffix == ".png" else b"<?xml")
