"""Reports: HTML that needs nothing else and draws every chart in a real browser, and pictures for papers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ipvssim.lab import Outcome, Scenario, load, report, simulate

BROWSER = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--enable-logging=stderr", "--v=0", "--window-size=1200,2600", "--virtual-time-budget=4000",
]  # fmt: skip
CHARTS = ("comparison", "skew", "load", "heat", "disruption")


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
        "comparison": "3", "skew": "3", "load": "8", "disruption": "3",
        "heat": str(len(outcome.heat) * len(outcome.servers)),
    }  # fmt: skip
    marks = len(re.findall(r'class="[^"]*\bmark\b', done.stdout))
    assert marks == sum(map(int, drawn.values()))
    assert "NaN" not in re.sub(r"<script.*?</script>", "", done.stdout, flags=re.DOTALL)
    shot = tmp_path / "page.png"
    subprocess.run([*base, f"--screenshot={shot}", path.as_uri()], capture_output=True, timeout=60, check=True)
    assert shot.read_bytes().startswith(b"\x89PNG")


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
