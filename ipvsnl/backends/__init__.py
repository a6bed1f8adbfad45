"""Bytes of the family, twice: in C (``native``) and in pure ctypes (``ctypes_``), with the same functions."""
