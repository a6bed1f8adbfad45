"""Records what keepalived makes of tests/data/keepalived, in the laboratory kernel: a ``.rules`` beside each ``.conf``.

What stands in ``differing`` is read otherwise on purpose: tests/ipvsnl/tables/test_keepalived.py says how.

    ipvsnl lab-kernel -- .venv/bin/python -m tests.kernel.keepalived [NAME.conf ...]

Health checks that could fail are given no time to: they begin at a random moment of a virtual server's delay_loop, which is
a day here, and a table is taken as soon as it stands still.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ipvsnl.client import open as open_client
from ipvsnl.model import Timeouts
from ipvsnl.text.compat import OURS
from ipvsnl.text.saving import saved

DEFAULTS = Timeouts(900, 120, 300)
DATA = Path(__file__).parent.parent / "data" / "keepalived"


def patient(text: str) -> str:
    """A configuration whose checks begin some time of the day; one that says when itself is let be."""
    return re.sub(r"(?m)^(virtual_server\s[^{\n]*\{)$", r"\1\n    delay_loop 86400", text)


def record(file: Path) -> str:
    """The table that keepalived makes of a configuration, as rules."""
    with tempfile.TemporaryDirectory() as folder, open_client("kernel") as ipvs:
        ipvs.flush()
        ipvs.set_timeouts(DEFAULTS)
        copy = file.with_name(f".patient-{file.name}")  # beside it, for what it includes
        copy.write_text(patient(file.read_text()))
        words = ["keepalived", "-n", "-l", "-C", "-f", str(copy), "-p", f"{folder}/p", "-c", f"{folder}/c"]
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            seen, end = [""], time.monotonic() + 12
            while time.monotonic() < end and not (seen[-1] and seen[-3:] == [seen[-1]] * 3):
                time.sleep(1.2)
                seen.append("".join(saved(ipvs.snapshot(), frozenset(("numeric",)), OURS)))
            text = seen[-1]
            changed = ipvs.timeouts()
            return text if changed == DEFAULTS else f"--set {' '.join(map(str, changed.astuple()))}\n{text}"
        finally:
            running.terminate()
            running.wait()
            copy.unlink()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    chosen = [DATA / name for name in sys.argv[1:]]
    for configuration in chosen or sorted(DATA.rglob("*.conf")):
        configuration.with_suffix(".rules").write_text(record(configuration))
        print(configuration.name)
