"""A program's memory, read and written by its number (process_vm_readv and process_vm_writev).

Every path of every program passes here, so the small cases use places in memory that are made once.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Sequence
from struct import Struct

from ipvssim.run.notify import failure, libc

PAGE = 4096
_PAGE_MASK = PAGE - 1
LONGEST = 1 << 20
"""Bytes that one reading may ask for."""
_LONGEST_PATH = 4096
_PEEKED = 128
_MOST_PIECES = 1024
_PLACE = Struct("=QQ")

_read, _write = libc.process_vm_readv, libc.process_vm_writev
_buffer = bytearray(LONGEST)
_view = memoryview(_buffer)
_local = bytearray(_PLACE.size)
_remote = bytearray(_PLACE.size * _MOST_PIECES)


def _address(of: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(of)).from_buffer(of))


_start = _address(_buffer)
_to, _from = ctypes.c_void_p(_address(_local)), ctypes.c_void_p(_address(_remote))
_pack = _PLACE.pack_into

_peeked = bytearray(_PEEKED)
_peek_local = bytearray(_PLACE.pack(_address(_peeked), _PEEKED))
_peek_remote = bytearray(_PLACE.pack(0, _PEEKED))
_peek_to, _peek_from = ctypes.c_void_p(_address(_peek_local)), ctypes.c_void_p(_address(_peek_remote))
_peek_at = Struct("=Q").pack_into
_peek = ctypes.CDLL(None).process_vm_readv  # nobody asks why it failed


def mentions(thread: int, address: int, words: bytes) -> bool:
    """Whether the beginning of a text (its first 128 bytes, those on its first page) has the words in it. It may be wrong in
    saying yes: what stands behind the text is looked at, too. One system call."""
    if address & _PAGE_MASK > PAGE - _PEEKED:  # the end of a page: the text may well go on
        try:
            return words in string(thread, address)
        except OSError:
            return False
    _peek_at(_peek_remote, 0, address)
    return _peek(thread, _peek_to, 1, _peek_from, 1, 0) > 0 and words in _peeked


def read(thread: int, at: int, size: int) -> bytes:
    """So many bytes at an address. OSError: EFAULT where there are none, ESRCH where the thread is gone, EPERM where one may
    not, ENOBUFS for more than is taken at once."""
    return read_all(thread, (at, size))


def read_all(thread: int, *places: tuple[int, int]) -> bytes:
    """The bytes at addresses, so many each, joined; in one call. OSError as above."""
    size, at = 0, 0
    for address, length in places:
        if at == _MOST_PIECES * _PLACE.size:
            break
        _pack(_remote, at, address, length)
        size += length
        at += _PLACE.size
    if size > LONGEST or len(places) > _MOST_PIECES:
        raise OSError(errno.ENOBUFS, "more than is taken at once")
    if not size:
        return b""
    _pack(_local, 0, _start, size)
    found = _read(thread, _to, 1, _from, len(places), 0)
    if found < 0:
        raise failure()
    if found < size:
        raise OSError(errno.EFAULT, "Bad address")
    return _view[:size].tobytes()


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


def put(thread: int, at: int, data: bytes) -> None:
    """Put bytes at an address. OSError: EFAULT where they can't be written."""
    write(thread, [(at, data)])


def write(thread: int, pieces: Sequence[tuple[int, bytes]]) -> None:
    """Put every piece at its address, in one call. OSError: EFAULT where one can't be written."""
    size = count = 0
    for address, piece in pieces:
        length = len(piece)
        if length:
            if size + length > LONGEST or count == _MOST_PIECES:
                raise OSError(errno.ENOBUFS, "more than is taken at once")
            _buffer[size : size + length] = piece
            _pack(_remote, count * _PLACE.size, address, length)
            size += length
            count += 1
    if not count:
        return
    _pack(_local, 0, _start, size)
    found = _write(thread, _to, 1, _from, count, 0)
    if found < 0:
        raise failure()
    if found < size:
        raise OSError(errno.EFAULT, "Bad address")
