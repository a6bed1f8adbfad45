"""The filter that a program's system calls go through, as code for the kernel's small machine (classic BPF)."""

from __future__ import annotations

from struct import Struct

from ipvssim.run.calls import ALL, LOOKED_AT, Machine, Test

_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_PASS, _ASK = 0x7FFF0000, 0x7FC00000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_FAIL = 256
"""Stands for a jump whose length is not known yet; real ones are of one byte."""
_INSTRUCTION = Struct("=HBBI")

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand."""


def program(machine: Machine) -> bytes:
    """The whole filter: what :data:`ipvssim.run.calls.LOOKED_AT` names is asked about, all else passes; so do the calls of
    another machine (32-bit programs)."""
    code: list[Instruction] = []
    for name, rows in LOOKED_AT.items():
        if name in machine.numbers:
            block = [one for row in rows for one in _row(row)] + [(_RETURN, 0, 0, _PASS)]
            code += [(_EQUAL, 0, len(block), machine.numbers[name]), *block]
    start = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, machine.audit),
        (_RETURN, 0, 0, _PASS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    return b"".join(_INSTRUCTION.pack(*one) for one in [*start, *code, (_RETURN, 0, 0, _PASS)])


def _row(tests: tuple[Test, ...]) -> list[Instruction]:
    """Ask where all tests hold; else go on behind the row."""
    code = [one for test in tests for one in _test(test)]
    code.append((_RETURN, 0, 0, _ASK))
    return [
        (what, yes, len(code) - 1 - here if no == _FAIL else no, operand)
        for here, (what, yes, no, operand) in enumerate(code)
    ]


def _test(test: Test) -> list[Instruction]:
    argument, mask, values = test
    code = [(_LOAD, 0, 0, _ARGUMENTS + 8 * argument)]  # the low half, on machines of this byte order
    if mask != ALL:
        code.append((_AND, 0, 0, mask))
    last = len(values) - 1
    code += [(_EQUAL, last - here, _FAIL if here == last else 0, value) for here, value in enumerate(values)]
    return code
