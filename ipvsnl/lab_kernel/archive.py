"""Packages of a Debian suite, fetched by apt, which checks their signatures. Nothing is installed.

apt has a root of its own: its sources, lists and state lie in a directory of the laboratory. This machine's apt is asked for
nothing but the address of Debian's archive.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from ipvsnl.lab_kernel.image import MissingError
from ipvsnl.lab_kernel.places import PATH
from ipvsnl.lab_kernel.suites import Suite

KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SETTINGS = """\
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir "{place}";
Dir::State::status "{place}/status";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{place}/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures "amd64";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "2";
"""
"""Nothing that this machine does after an update is done, nothing is written outside, and root needs no other user."""


class Archive:
    """One suite's packages."""

    def __init__(self, suite: Suite, place: Path) -> None:
        """``place``: apt's own root. MissingError: no apt, no keys or no archive is known here."""
        self.suite, self.place = suite, place
        if not Path(KEYS).exists():
            raise MissingError(f"no keys of Debian's archive ({KEYS}): apt-get install debian-archive-keyring")
        for part in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (place / part).mkdir(parents=True, exist_ok=True)
        (place / "status").touch()
        (place / "settings").write_text(_SETTINGS.format(place=place))
        (place / "sources.list").write_text("".join(f"{line}\n" for line in _sources(suite)))

    def update(self) -> None:
        """Get the suite's lists; MissingError where they can't be had, or are not signed."""
        self._run("apt-get", "-qq", "-o", "APT::Update::Error-Mode=any", "update")

    def version(self, package: str) -> str:
        """The version that the suite has; MissingError if none."""
        for line in self._run("apt-cache", "policy", package).splitlines():
            if line.startswith("  Candidate: ") and not line.endswith("(none)"):
                return line.removeprefix("  Candidate: ")
        raise MissingError(f"{self.suite.name} has no package {package}")

    def depends(self, package: str) -> list[str]:
        """The packages that it depends on."""
        lines = self._run("apt-cache", "depends", "--important", package).splitlines()
        return [line.split()[-1] for line in lines if line.startswith(("  Depends: ", "  PreDepends: "))]

    def needs(self, package: str, other: str) -> tuple[int, ...]:
        """The version of another package that it depends on at least; () if on any."""
        shown = self._run("apt-cache", "show", "--no-all-versions", package)
        found = re.search(rf"^Depends: .*\b{other} \(>=? ([\d.]+)", shown, re.MULTILINE)
        return tuple(map(int, found.group(1).split("."))) if found else ()

    def unpack(self, package: str, into: Path) -> None:
        """Fetch a package, and lay its files under ``into``."""
        kept = self.place / "var/cache/apt/archives"
        before = set(kept.glob("*.deb"))
        self._run("apt-get", "-qq", "download", package, cwd=kept)
        for file in set(kept.glob("*.deb")) - before:
            self._run("dpkg-deb", "-x", str(file), str(into))
            file.unlink()

    def _run(self, *command: str, cwd: Path | None = None) -> str:
        program, *words = command
        if program.startswith("apt"):
            words = [
                "-c",
                str(self.place / "settings"),
                *(["-t", self.suite.name] if self.suite.target else []),
                *words,
            ]
        return _run(program, *words, cwd=cwd)


def _run(*command: str, cwd: Path | None = None) -> str:
    environment = {**os.environ, "PATH": f"{PATH}:/usr/sbin:/sbin", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=cwd, env=environment, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise MissingError(f"{command[0]} is not installed: other kernels are fetched by Debian's apt") from None
    if done.returncode:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise MissingError(f"{' '.join(command[:1])} failed: " + " ".join(words[-3:]))
    return done.stdout


def _sources(suite: Suite) -> list[str]:
    main = os.environ.get("IPVSNL_LAB_ARCHIVE") or _address("Debian")
    lines = [f"deb [signed-by={KEYS}] {main} {name} main" for name in (suite.name, *suite.beside)]
    if suite.security:
        security = _address("Debian-Security", f"{main.rstrip('/')}-security")
        lines.append(f"deb [signed-by={KEYS}] {security} {suite.name}-security main")
    return lines


def _address(label: str, otherwise: str = "") -> str:
    """Where this machine's apt has the archive of that label from; else ``otherwise``, MissingError if that is "" """
    lines = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", f"Label: {label}")
    found = lines.splitlines()[:1] or [otherwise]
    if not found[0]:
        raise MissingError(
            "this machine's apt has nothing of Debian's: IPVSNL_LAB_ARCHIVE has to name an archive, as in sources.list"
        )
    return found[0]
