"""A program that runs with a C library of its own: its header names the loader that lies beside that library."""

from __future__ import annotations

import struct
from pathlib import Path

_HEADERS = struct.Struct("<32xQ14xHH")
"""Of an ELF file's first 58 bytes: where the program headers are, the size of one, how many."""
_INTERPRETER = 3
_NAME = "ld-linux-x86-64.so.2"


def own_library(program: Path, root: Path) -> Path:
    """Give ``program`` the C library that was unpacked under ``root``; the directory that LD_LIBRARY_PATH has to name."""
    loader = next(path for path in sorted(root.rglob(_NAME)) if path.parent.joinpath("libc.so.6").exists())
    name_loader(program, loader.absolute())
    return loader.parent.absolute()


def name_loader(program: Path, loader: Path) -> None:
    """Write the loader's path to the file's end, and let the header point there. ValueError: it names no loader."""
    data = bytearray(program.read_bytes())
    start, size, count = _HEADERS.unpack_from(data)
    for at in range(start, start + size * count, size):
        if struct.unpack_from("<I", data, at)[0] == _INTERPRETER:
            text = bytes(loader) + b"\0"
            struct.pack_into("<Q", data, at + 8, len(data))
            struct.pack_into("<QQ", data, at + 32, len(text), len(text))
            program.write_bytes(data + text)
            return
    raise ValueError(f"{program} names no loader")
