"""The inputs that fuzzers have found interesting so far, in one archive: tests/data/fuzz.tar.xz, KIND/NAME each.

    python -m tests.fuzz.corpus unpack FOLDER         the inputs as files, for a fuzzer to begin from: FOLDER/rules/...
    python -m tests.fuzz.corpus add rules FOLDER      keep that folder's files, too: what a fuzzer has found since

An input is named by the SHA-1 of its bytes, as libFuzzer does. Members are sorted and have no dates or owners, so the same
inputs make the same archive.
"""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.places import DATA

ARCHIVE = DATA / "fuzz.tar.xz"


def inputs(archive: Path = ARCHIVE) -> dict[str, bytes]:
    """The bytes of every input, by KIND/NAME."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


def keep(found: dict[str, bytes], archive: Path = ARCHIVE) -> None:
    """Write the archive anew."""
    with tarfile.open(archive, "w:xz", format=tarfile.USTAR_FORMAT, preset=9) as tar:
        for name, data in sorted(found.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def unpack(folder: Path, kind: str = "", archive: Path = ARCHIVE) -> list[Path]:
    """The inputs (of one kind) as files below a folder; their paths, sorted."""
    made = []
    for name, data in sorted(inputs(archive).items()):
        if name.startswith(f"{kind}/" if kind else ""):
            made.append(folder / name)
            made[-1].parent.mkdir(parents=True, exist_ok=True)
            made[-1].write_bytes(data)
    return made


def add(kind: str, folder: Path, archive: Path = ARCHIVE) -> int:
    """Keep the folder's files as inputs of a kind, too; how many are new."""
    found = inputs(archive)
    before, known = len(found), set(found.values())
    for data in (file.read_bytes() for file in folder.iterdir()):
        if data not in known:
            found[f"{kind}/{hashlib.sha1(data).hexdigest()}"] = data
    keep(found, archive)
    return len(found) - before


def main(arguments: Sequence[str]) -> int:
    """Run the program; the exit status."""
    match arguments:
        case ["unpack", folder]:
            print(f"{len(unpack(Path(folder)))} inputs")
        case ["add", kind, folder]:
            print(f"{add(kind, Path(folder))} new inputs")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
