"""keepalived step by step under ``ipvssim run``: checks that fail and come back, sorry servers, quorum, SIGHUP, its end."""

from __future__ import annotations

import sys

import pytest

from tests.ipvssim.run.programs import needs, run
from tests.kernel.keepalived_steps import FILES

_COMPARE = "import sys; from tests.kernel.keepalived_steps import compare; sys.exit(compare(sys.argv[1]))"


@needs("keepalived")
@pytest.mark.parametrize("name", sorted(path.stem for path in FILES.glob("*.steps")))
def test_its_table_is_that_of_the_real_kernel_at_each_step(name: str) -> None:
    """The tables of the real kernel were recorded on Linux 6.1.176."""
    done = run(sys.executable, "-c", _COMPARE, name, timeout=240)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
