"""A scenario on several kernels: what an upgrade changes, and that the real kernels differ there, too."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("numpy", reason="the laboratory of schedulers needs numpy: pip install 'ipvsnl[lab]'")

from ipvssim import lab
from ipvssim.lab.command import main
from ipvssim.lab.run.traces import traces
from ipvssim.lab.scenario.definition import parted
from ipvssim.lab.scenario.reader import ScenarioError
from tests.kernel.teeth import release_of, same
from tests.places import DATA, unpacked


def test_each_way_of_scheduling_runs_on_each_kernel() -> None:
    """The variants are named after both, and their words and kernels are found again."""
    scenario = lab.load("upgrade")
    assert scenario.variants == ("wlc on 6.1.176", "wlc on 6.12.113", "rr on 6.1.176", "rr on 6.12.113")
    assert parted("sh -b sh-port on 5.15.0-91-generic") == ("sh -b sh-port", "5.15.0-91-generic")
    assert [parted(text) for text in ("wlc", "", "on 6.12")] == [("wlc", ""), ("", ""), ("", "6.12")]
    as_it_is = scenario.changed({"compare": [], "kernels": ["6.8"]})
    assert as_it_is.variants == ("on 6.8",) and scenario.changed({"kernels": []}).variants == ("wlc", "rr")


@pytest.mark.parametrize(
    ("kernels", "words"), [(["3.2"], "not modelled"), (["6.8", "6.8"], "twice"), (["x"], "no release")]
)
def test_what_is_no_kernel_is_refused(kernels: list[str], words: str) -> None:
    """ScenarioError that names the key; from the command line status 2."""
    with pytest.raises(ScenarioError, match=f"kernels: .*{words}"):
        lab.load("upgrade").changed({"kernels": kernels})
    assert main(["run", "upgrade", "--small", "--kernels", ",".join(kernels)]) == 2


def test_an_upgrade_that_changes_something(tmp_path: Path) -> None:
    """The laboratory's two kernels place connections differently, and the real two answered exactly as theirs: the traces
    of both were put to user-mode-linux 6.1.176 and 6.12.113."""
    unpacked(DATA / "kernels.tar.xz", tmp_path)
    scenario = lab.load("upgrade").small
    for words in ("wlc", "rr"):
        placed = []
        for kernel in ("6.1.176", "6.12.113"):
            _, (made,) = traces(scenario, f"{words} on {kernel}")
            file = tmp_path / "upgrade" / f"{made.name}.trace"
            recording = file.with_suffix(".kernel")
            assert made.text == file.read_text()
            assert release_of(recording).name == kernel and same(file, recording, release_of(recording))
            placed.append(made.opened)
        assert placed[0] != placed[1]


def test_the_command_compares_kernels(capsys: pytest.CaptureFixture[str]) -> None:
    """``--kernels`` puts them side by side; what had to be guessed of one is said."""
    assert main(["run", "failure", "--small", "--set", 'compare=["wlc"]', "--kernels", "5.4,6.12", "--jobs", "1"]) == 0
    said = capsys.readouterr()
    assert "wlc on 5.4" in said.out and "wlc on 6.12" in said.out and "not all is modelled" in said.err
