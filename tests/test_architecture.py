"""The arrows between the rooms: who may import whom. ``tests/architecture.py`` has the rooms and the checks."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parent.parent


def test_no_arrow_turns_round() -> None:
    """A room imports only from the rooms below it; type hints and late imports are arrows, too."""
    assert architecture.turned(ROOT) == []


def test_the_packages_meet_where_it_was_agreed() -> None:
    """ipvsnl reaches the simulator in one place; the simulator's rooms speak ipvsnl's words, and its doors use the rest."""
    assert architecture.crossed(ROOT) == []
    assert (architecture.PLUG, "ipvssim.doors.table_file") in architecture.arrows(ROOT)


def test_sockets_scapy_time_and_chance_have_one_home_each() -> None:
    """Only the links and the doors open sockets, only two modules import scapy, only the clock knows time and chance."""
    assert architecture.homeless(ROOT) == []


def test_there_is_no_circle() -> None:
    """No file imports, by whatever way, a file that imports it."""
    assert architecture.circles(ROOT) == []


def test_a_wheel_has_every_package() -> None:
    """Each folder of modules stands in the list of packages: a wheel that lacks one fails only where it is used."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [
        ".".join((package, *path.parent.relative_to(ROOT / folder).parts))
        for package, folder in architecture.PACKAGES.items()
        for path in (ROOT / folder).rglob("__init__.py")
    ]
    assert sorted(set(found) - set(listed)) == []


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The two packages' Python, to plant something in."""
    for folder in architecture.PACKAGES.values():
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=lambda _, names: [n for n in names if n[-2:] in (".c", "so")]
        )
    return tmp_path


PLANTED: list[tuple[Callable[[Path], object], str, str]] = [
    (architecture.homeless, "ipvsnl/tables/plan.py", "import socket"),
    (architecture.homeless, "ipvsnl/text/rules.py", "from _socket import socket as way_out"),
    (architecture.turned, "sim/ipvssim/net/packets.py", "from ipvssim.path.result import Result"),
    (architecture.turned, "ipvsnl/text/rules.py", "def late():\n    from ipvsnl.cli import main"),
    (architecture.turned, "ipvsnl/text/rules.py", "from ..cli import main"),
    (architecture.turned, "ipvsnl/consts.py", "from importlib import import_module as bring\nbring('ipvsnl.client')"),
    (architecture.turned, "ipvsnl/model.py", "if TYPE_CHECKING:\n    from ipvsnl.client import IPVS"),
    (architecture.turned, "sim/ipvssim/lab/scenario/rules.py", "from ipvssim.lab.run.engine import Engine"),
    (architecture.turned, "ipvsnl/lonely.py", "import ipvsnl.consts"),
    (architecture.crossed, "ipvsnl/client.py", "import ipvssim.kernel"),
    (architecture.crossed, "sim/ipvssim/state/trash.py", "from ipvsnl.client import IPVS"),
    (architecture.circles, "sim/ipvssim/path/connections.py", "from ipvssim.path.protocols import machine"),
    (architecture.homeless, "sim/ipvssim/path/host.py", "import time"),
    (architecture.homeless, "sim/ipvssim/kernel.py", "def late():\n    import scapy.all"),
]


@pytest.mark.parametrize(("check", "file", "line"), PLANTED, ids=[f"{file}: {line}"[-60:] for _, file, line in PLANTED])
def test_a_planted_import_is_refused(copy: Path, check: Callable[[Path], object], file: str, line: str) -> None:
    """The checks see imports in functions, for hints alone, relative ones, aliases, and modules that are named as text."""
    with (copy / file).open("a") as opened:
        opened.write(f"\n{line}\n")
    assert check(copy)
