"""Coverage-guided fuzzing of every reader with atheris: ``make fuzz``.

    python -m tests.fuzz.fuzz_readers READER|all [libFuzzer's options] [CORPUS...]

READER is a name of ``tests.fuzz.readers``. With ``all``, an input's first byte chooses the reader. Without a corpus, the
readers' seeds and what the archive has of them are the inputs to begin from; what is found interesting is kept in the first
folder of the corpus, for ``python -m tests.fuzz.corpus add reader-NAME FOLDER``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ipvsnl", "ipvssim"]):
    from tests.fuzz.law import Reader, law, quiet
    from tests.fuzz.readers import BY_NAME, READERS

from tests.fuzz import corpus

ALL = "all"


def one_of_all(data: bytes) -> None:
    """An input whose first byte says whose it is."""
    if data:
        law(READERS[data[0] % len(READERS)], data[1:])


def seeds(reader: Reader) -> list[bytes]:
    """What a reader's fuzzing begins from."""
    kept = [data for name, data in corpus.inputs().items() if name.startswith(f"reader-{reader.name}/")]
    return [*reader.seeds(), *kept]


def fill(folder: Path, name: str) -> None:
    """The inputs to begin from, as files."""
    for number, reader in enumerate(READERS):
        if name in (ALL, reader.name):
            for count, data in enumerate(seeds(reader)):
                first = bytes([number]) if name == ALL else b""
                (folder / f"{reader.name}-{count}").write_bytes(first + data)


def main() -> None:
    """Run libFuzzer's loop."""
    program, name, *arguments = sys.argv
    quiet()
    reader = BY_NAME.get(name)
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), name)
        one_input = one_of_all if reader is None else lambda data: law(reader, data)
        atheris.Setup([program, *arguments, folder], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
