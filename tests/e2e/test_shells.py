"""Completion in the shells themselves: what a person sees after Tab."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAMS = Path(sys.executable).parent
RULES = (
    "-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m\n-A -t 192.0.2.1:443 -s rr\n"
    "-a -t 192.0.2.1:443 -r 10.0.0.2:443 -m\n-A -u [2001:db8::1]:53 -s rr\n"
)
LINES = [
    ("ipvsnl pl", "ipvsnl plan "),
    ("ipvsnl completion f", "ipvsnl completion fish "),
    ("ipvsnl plan --pr", "ipvsnl plan --prune "),
    ("ipvsnl -A -t 192.0.2.9:80 --schedu", "ipvsnl -A -t 192.0.2.9:80 --scheduler "),
    ("ipvsnl -A -t 192.0.2.9:80 -s lblcr", "ipvsnl -A -t 192.0.2.9:80 -s lblcr "),
    ("ipvsnl -D -t 192.0.2.1:4", "ipvsnl -D -t 192.0.2.1:443 "),
    ("ipvsnl -D -u [2001:d", "ipvsnl -D -u [2001:db8::1]:53 "),
    ("ipvsnl -d -t 192.0.2.1:443 -r 1", "ipvsnl -d -t 192.0.2.1:443 -r 10.0.0.2:443 "),
    ("ipvsnl -A -t 192.0.2.9:80 --scheduler=wr", "ipvsnl -A -t 192.0.2.9:80 --scheduler=wrr "),
    ("ipvsnl plan wan", "ipvsnl plan wanted.rules "),
    ("ipvssim lab sw", "ipvssim lab sweep "),
    ("ipvssim lab run nat", "ipvssim lab run nat-client "),
    ("ipvssim replay --che", "ipvssim replay --check "),
]
"""What is typed before Tab, and what the line is then."""
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": "PS1='> '; source <(ipvsnl completion bash); source <(ipvssim completion bash)",
    "zsh": "autoload -U compinit; compinit -u -D; source <(ipvsnl completion zsh); source <(ipvssim completion zsh)",
    "fish": "ipvsnl completion fish | source; ipvssim completion fish | source",
}
SHOW = {
    "bash": r"""_show() { printf '<%s>\n' "$READLINE_LINE"; }; bind -x '"\C-g": _show'""",
    "zsh": r"""_show() { print -r -- "<$BUFFER>" }; zle -N _show; bindkey '^G' _show""",
    "fish": r"""function _show; printf '<%s>\n' (commandline | string collect); end; bind \cg _show""",
}
"""A key that prints the line as the shell has it: what the terminal shows is full of escapes."""


def quoted(shell: str, typed: str) -> str:
    """As one has to type it: a bracket begins a pattern for zsh."""
    return typed.replace("[", "\\[") if shell == "zsh" else typed


class Shell:
    """An interactive shell on a terminal of its own."""

    def __init__(self, shell: str, folder: Path) -> None:
        environment = {
            **os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "TERM": "dumb" if shell != "fish" else "xterm",
            "HOME": str(folder), "IPVSNL_TARGET": f"sim:{folder / 'table'}", "INPUTRC": "/dev/null", "LC_ALL": "C.UTF-8",
            "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder),
        }  # fmt: skip
        self.process, self.terminal = pty.fork()
        if not self.process:
            os.chdir(folder)
            os.execvpe(START[shell][0], START[shell], environment)
        for line in (SETUP[shell], SHOW[shell]):
            self.type(line + "\n")
        self.type("echo rea''dy\n")
        self.wait(r"ready")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.terminal, text.encode())

    def wait(self, pattern: str, seconds: float = 30) -> str:
        """What comes until the pattern does; the pattern's group."""
        seen = ""
        end = time.monotonic() + seconds
        while (found := re.search(pattern, seen)) is None:
            if time.monotonic() > end:
                raise AssertionError(f"no {pattern!r} in {seen!r}")
            if select.select([self.terminal], [], [], 0.1)[0]:
                seen += os.read(self.terminal, 65536).decode(errors="replace")
                if "\x1b[c" in seen or "\x1b[0c" in seen:  # fish asks what terminal this is, and waits for the answer
                    self.type("\x1b[?62c")
                    seen = seen.replace("\x1b[c", "").replace("\x1b[0c", "")
        return found.group(found.lastindex or 0)

    def completed(self, typed: str) -> str:
        """The line after Tab; it is thrown away then."""
        self.type(typed + "\t")
        time.sleep(0.1)
        self.type("\x07")
        found = self.wait(r"<((?:ipvsnl|ipvssim)[^>]*)>")
        self.type("\x15")
        return found

    def close(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self.terminal)


@pytest.mark.parametrize("shell", START)
def test_tab_completes(shell: str, tmp_path: Path) -> None:
    """Sub-commands, their arguments and options, values, live services and servers, files: each as far as it is certain."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "wanted.rules").write_text("")
    subprocess.run(
        [PROGRAMS / "ipvsnl", "--target", f"sim:{tmp_path / 'table'}", "-R"], input=RULES, text=True, check=True
    )
    asked = Shell(shell, tmp_path)
    try:
        found = [(typed, asked.completed(quoted(shell, typed)).replace("\\", "")) for typed, _ in LINES]
    finally:
        asked.close()
    assert found == LINES
