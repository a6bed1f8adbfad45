"""A program's memory, read and written by its number (process_vm_readv and process_vm_writev)."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Sequence

from ipvssim.run.notify import failure, libc

PAGE = 4096
LONGEST = 1 << 20
"""Bytes that one reading may ask for."""
_LONGEST_PATH = 4096
_PEEKED = 128
_SIZE = ctypes.sizeof(ctypes.c_size_t)

_read, _write = libc.process_vm_readv, libc.process_vm_writev
_buffer = bytearray(PAGE)
_place = (ctypes.c_char * PAGE).from_buffer(_buffer)
_local = (ctypes.c_size_t * 2)(ctypes.addressof(_place), 0)
_remote = (ctypes.c_size_t * 2)()


def mentions(thread: int, address: int, words: bytes) -> bool:
    """Whether the beginning of a text (its first 128 bytes, those on its first page) has the words in it. It may be wrong in
    saying yes: what stands behind the text is looked at, too. One system call, for each path of each program passes here."""
    size = PAGE - address % PAGE
    if size < _PEEKED:  # the end of a page: the text may well go on
        try:
            return words in string(thread, address)
        except OSError:
            return False
    _local[1] = _remote[1] = _PEEKED
    _remote[0] = address
    found = _read(thread, _local, 1, _remote, 1, 0)
    return found > 0 and _buffer.find(words, 0, found) >= 0


def read(thread: int, address: int, size: int) -> bytes:
    """Bytes of its memory. OSError: EFAULT where there are none, ESRCH where it is gone, EPERM where one may not."""
    if size == 0:
        return b""
    if size > LONGEST:
        raise OSError(errno.ENOBUFS, "more than is taken at once")
    into = ctypes.create_string_buffer(size)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(into), size)
    found = _read(thread, local, 1, (ctypes.c_size_t * 2)(address, size), 1, 0)
    if found < 0:
        raise failure()
    if found < size:
        raise OSError(errno.EFAULT, "Bad address")
    return into.raw


def string(thread: int, address: int) -> bytes:
    """A text that ends with a zero byte, page by page. OSError as above, and ENAMETOOLONG."""
    found = b""
    while len(found) < _LONGEST_PATH:
        at = address + len(found)
        piece, end, _ = read(thread, at, PAGE - at % PAGE).partition(b"\0")
        found += piece
        if end:
            return found
    raise OSError(errno.ENAMETOOLONG, "File name too long")


def write(thread: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Put every piece at its address, in one call. OSError: EFAULT where one can't be written."""
    pieces = [piece for piece in pieces if piece[1]]
    if not pieces:
        return
    data = b"".join(piece for _, piece in pieces)
    source = ctypes.create_string_buffer(data, len(data))
    local = (ctypes.c_size_t * 2)(ctypes.addressof(source), len(data))
    remote = (ctypes.c_size_t * (2 * len(pieces)))(*(one for address, piece in pieces for one in (address, len(piece))))
    found = _write(thread, local, 1, remote, len(pieces), 0)
    if found < 0:
        raise failure()
    if found < len(data):
        raise OSError(errno.EFAULT, "Bad address")
