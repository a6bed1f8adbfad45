"""Scenarios and command lines that nobody would write: each is a scenario or an error that says why, soon; no traceback."""

from __future__ import annotations

import contextlib
import io
import tomllib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipvssim.command import main
from ipvssim.lab import Scenario, ScenarioError, build, gallery, load

GALLERY = [dict(load(name).raw) for name in gallery()]
PATIENT = settings(
    deadline=timedelta(seconds=5), max_examples=150, derandomize=True, suppress_health_check=list(HealthCheck)
)
ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([
        None, True, -1, 0, 1, 2**31, 2**63, 10**400, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"), "",
        "\0", "../evil", "a\nb", "$x^", "[/b]", "\udcff", "rr", "1" * 5000, [], [[]], [None], {}, {"kind": "zipf"}, {"": 1},
        "-t 203.0.113.1:80", "-f 7", "-t 203.0.113.1:99999", "-t [::1]:-1", "-f ²", "-A -t 1.2.3.4:80\n-a", ["rr", "rr"],
    ]),
    st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=3),
)  # fmt: skip


def places(value: Any, path: str = "") -> Iterator[str]:
    """Every dotted path in nested tables and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in items:
        yield f"{path}{key}"
        yield from places(one, f"{path}{key}.")


PATHS = sorted({path for raw in GALLERY for path in places(raw)}) + [
    "sample", "directors", "heat", "sysctl", "sysctl.drop_packet", "sweep", "sweep.seeds", "table.weights", "table.rules",
    "traffic.connections", "traffic.start", "traffic.packets", "traffic.replies", "traffic.pcap", "traffic.service",
    "traffic.clients.net", "traffic.clients.addresses", "traffic.clients.exponent", "traffic.durations.shape",
    "events.0.when", "events.0.directors", "events.0.weight", "events.0.rules", "name", "nosuch", "traffic.nosuch",
]  # fmt: skip
CHANGES = st.dictionaries(st.sampled_from(PATHS), ODD, min_size=1, max_size=3)


@PATIENT
@given(st.sampled_from(GALLERY), CHANGES, st.booleans())
def test_a_scenario_or_an_error(raw: dict[str, Any], changes: dict[str, Any], small: bool) -> None:
    """Values of the gallery's files that are swapped for odd ones make a scenario, or a ScenarioError of one short line."""
    try:
        changed = build(raw).changed(changes)
        assert isinstance(changed.small if small else changed, Scenario)
    except ScenarioError as wrong:
        assert 0 < len(str(wrong)) < 500


@PATIENT
@given(text=st.text(max_size=60) | st.sampled_from(["a = " + "[" * 5000, "a = " + "9" * 5000, "[a.b]\n[a]\nb = 1"]))
def test_a_file_or_an_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever text is in a file, it is a scenario or a ScenarioError that names the file."""
    path = tmp_path_factory.mktemp("fuzz") / "mine.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ScenarioError, match=r"mine\.toml"):
        load(path)


WORDS = st.sampled_from([
    "run", "sweep", "trace", "gallery", "herd", "nothing", "mine.toml", ".", "/dev/null", "", "--help", "--out", "--formats",
    "html,,", "gif", "--jobs", "-1", "0", "1", "nan", "--seeds", "--set", "seeds=", "seeds=0", "a.b.c=1", "=", "traffic=1",
    "--small", "--executor", "dask://", "elsewhere", "--quiet", "--nosuch", "\0", "\udcff", "title=\udcff", "x" * 300,
])  # fmt: skip


@PATIENT
@given(st.lists(WORDS, max_size=6))
def test_no_command_line_is_a_traceback(words: list[str]) -> None:
    """Every command line ends with a status: 0, or 1 or 2 with one line that says why. (No scenario of these is run.)"""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(["lab", *words, "--set", "nosuch=1"] if words and words[0] != "gallery" else ["lab", *words])
        except SystemExit as ended:
            status = int(ended.code or 0)
    assert status in (0, 1, 2)
    assert said.getvalue().count("\n") == (status != 0)


def test_what_comes_with_the_package_is_toml() -> None:
    """The gallery's files are what the tests above change."""
    folder = Path(__file__).parents[3] / "sim/ipvssim/lab/gallery"
    assert [tomllib.loads(path.read_text())["title"] for path in sorted(folder.glob("*.toml"))] == [
        raw["title"] for raw in GALLERY
    ]
