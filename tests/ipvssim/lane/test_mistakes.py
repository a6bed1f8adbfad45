"""Each mistake that is planted in the lane is found by the comparison: what would pass it is no test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI

from ipvssim.lane import compiled
from ipvssim.lane import lane as lane_module
from ipvssim.lane.build import HERE, PREAMBLE, SOURCES, declarations
from ipvssim.lane.mirror import Mirror
from ipvssim.lane.ways import Ways
from ipvssim.lane.world import rules
from ipvssim.path.protocols import tcp
from tests.ipvssim import worlds as w
from tests.ipvssim.lane import streams
from tests.ipvssim.lane.test_equal import check_sums

pytestmark = pytest.mark.skipif(not compiled, reason="the express lane's C was not built")
Plant = Callable[[pytest.MonkeyPatch], None]


def _ruled(change: Callable[[Any], None]) -> Plant:
    def plant(patch: pytest.MonkeyPatch) -> None:
        def wrong(director: Any) -> Any:
            made = rules(director)
            change(made)
            return made

        patch.setattr(lane_module, "rules", wrong)

    return plant


def _state(made: Any) -> None:
    made.tcp[1][2][tcp.SYN_RECV] = tcp.SYN_RECV


def _timeout(made: Any) -> None:
    made.tcp_timeout[tcp.ESTABLISHED] += 1


def _event(made: Any) -> None:
    made.event[w.FIN | w.ACK] = made.event[w.ACK]


def _active(made: Any) -> None:
    made.active[tcp.FIN_WAIT] = 1


def _udp(made: Any) -> None:
    made.udp_timeout -= 1


def _reuse(made: Any) -> None:
    made.reuse = 0


def _inactive_bit(made: Any) -> None:
    made.flags_of_new |= 0x400


def _tie(patch: pytest.MonkeyPatch) -> None:
    """The last in list order of equals, as a list handed in from its other end gives it."""
    patch.setattr(Mirror, "listed", staticmethod(lambda service: list(service.servers())[::-1]))


def _mac(patch: pytest.MonkeyPatch) -> None:
    header = Ways.header
    patch.setattr(Ways, "header", lambda *given: (made := header(*given)) and made[:5] + b"\xff" + made[6:])


MISTAKES: dict[str, Plant] = {
    "a state": _ruled(_state), "a timeout": _ruled(_timeout), "an event": _ruled(_event),
    "what is active": _ruled(_active), "UDP's timeout": _ruled(_udp), "a connection is never used again": _ruled(_reuse),
    "a flag": _ruled(_inactive_bit), "the tie of equals": _tie, "a link-layer address": _mac,
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one entry of a table wrong, the worlds differ within a few streams."""
    MISTAKES[name](monkeypatch)
    with pytest.raises(AssertionError):
        for seed in range(1, 16):
            streams.run(seed, 8)


IN_C = {
    "a checksum of zero": ("packet.c", "return rest ? ONES - rest : 0;", "return ONES - rest;", "sums"),
    "a checksum": ("packet.c", "finish((int64_t)(ONES - check) + shift)", "finish((int64_t)(ONES - check) - shift)", "sums"),
    "wlc's tie": ("picks.c", "left.weight < (uint64_t)left.load", "left.weight <= (uint64_t)left.load", "streams"),
    "a threshold": ("loads.c", "server->conns >= server->upper", "server->conns > server->upper", "streams"),
    "a timer": ("wheel.c", "now + lane->rules.jiffy - 1", "now", "streams"),
    "the kernel's wheel": ("wheel.c", "(born + expires) >> shift) + 1", "(born + expires) >> shift)", "streams"),
    "its levels": ("wheel.c", "shift += COARSER", "shift += COARSER + 1", "streams"),
}  # fmt: skip


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str], None]:
    """Puts a lane in the place of the one that is there, whose C has a line changed."""
    if shutil.which("cc") is None:
        pytest.skip("there is no compiler")

    def build(file: str, right: str, wrong: str) -> None:
        for path in HERE.glob("*.[ch]"):
            shutil.copy(path, tmp_path)
        text = (tmp_path / file).read_text()
        assert text.count(right) == 1, right
        (tmp_path / file).write_text(text.replace(right, wrong))
        ffi = FFI()
        ffi.cdef(declarations())
        sources = [str(tmp_path / name) for name in SOURCES]
        ffi.set_source("_wrong_lane", PREAMBLE, sources=sources, include_dirs=[str(tmp_path)])
        spec = spec_from_file_location("_wrong_lane", ffi.compile(str(tmp_path)))
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        for name in ("batch", "keeping", "lane", "mirror", "run", "ways", "world"):
            for part in {"ffi", "lib"} & vars(import_module(f"ipvssim.lane.{name}")).keys():
                monkeypatch.setattr(f"ipvssim.lane.{name}.{part}", getattr(module, part))

    return build


@pytest.mark.parametrize("name", IN_C)
def test_mistake_in_c_is_found(name: str, built: Callable[[str, str, str], None]) -> None:
    """With one line of the C wrong, the worlds differ."""
    file, right, wrong, found_by = IN_C[name]
    built(file, right, wrong)
    with pytest.raises(AssertionError):
        if found_by == "sums":
            check_sums(range(0x10000))
        for seed in range(1, 16):
            streams.run(seed, 8)
