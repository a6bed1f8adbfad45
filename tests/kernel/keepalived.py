"""Records what keepalived makes of tests/data/keepalived, in the laboratory kernel: a ``.rules`` beside each ``.conf``.

    ipvsnl lab-kernel -- .venv/bin/python -m tests.kernel.keepalived

Health checks that could fail are given no time to: a table is taken as soon as it stands still.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from ipvsnl.client import open as open_client
from ipvsnl.text.compat import OURS
from ipvsnl.text.saving import saved

DATA = Path(__file__).parent.parent / "data" / "keepalived"


def record(file: Path) -> str:
    """The table that keepalived makes of a configuration, as rules."""
    with tempfile.TemporaryDirectory() as folder, open_client("kernel") as ipvs:
        ipvs.flush()
        words = ["keepalived", "-n", "-l", "-C", "-f", str(file), "-p", f"{folder}/p", "-c", f"{folder}/c"]
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            before, text, end = "", "", time.monotonic() + 10
            while time.monotonic() < end and not (text and text == before):
                time.sleep(0.6)
                before, text = text, "".join(saved(ipvs.snapshot(), frozenset(("numeric",)), OURS))
            return text
        finally:
            running.terminate()
            running.wait()


if __name__ == "__main__":
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for configuration in sorted(DATA.glob("*.conf")):
        configuration.with_suffix(".rules").write_text(record(configuration))
        print(configuration.name)
