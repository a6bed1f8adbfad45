"""Bytes of the family, twice: in C (``native``) and in pure ctypes (``portable``), with the same functions.

``IPVSNL_BACKEND=native|ctypes`` forces one. Without it the C one is used, and the portable one where the C one was
never built; :func:`chosen` names which, and a forced one that is missing is an ImportError, never a silent fallback.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Backend(Protocol):
        """The functions of a backend. Records are those of :class:`ipvsnl.family.Group`."""

        name: str

        def encode(
            self,
            family_id: int,
            command: int,
            flags: int,
            sequence: int,
            service: bytes | None = None,
            dest: bytes | None = None,
            daemon: bytes | None = None,
            config: bytes | None = None,
        ) -> bytes:
            """One whole request (nlmsghdr, genlmsghdr, attributes), port 0, padded to a multiple of 4.

            The groups' attributes are written in the tables' order, those whose bit is set in the record's ``present``;
            ``config`` stands flat at the top level. Statistics are written whole, without PAD; the legacy ones are cut to
            the wire's 32 bits. EncodeError for a record of the wrong size, an unknown bit, text that fills its field
            without a NUL, and a number that its header field cannot hold.
            """

        def encode_getfamily(self, sequence: int, name: str) -> bytes:
            """The controller's CTRL_CMD_GETFAMILY for a family name; EncodeError unless 1 to 15 ASCII characters."""

        def split(self, datagram: bytes) -> list[tuple[int, int, int, int, int, int]]:
            """The messages of a datagram: (type, flags, sequence, port, payload's start, payload's end) each.

            DecodeError for a header that is cut or a length that leaves the datagram or is shorter than a header.
            """

        def decode(self, group: str, datagram: bytes, start: int, end: int) -> bytes:
            """The record of a reply's group (``service``, ``dest``, ``daemon``, ``config``, ``info``).

            ``start`` and ``end`` bound the message's payload (from the genlmsghdr on). Unknown attributes are passed
            over, of a repeated one the last wins, text ends at its first NUL; DecodeError for everything malformed: an
            attribute that leaves its container, an integer of another size, text without NUL or too long, stray bytes; and
            for a reply without the group's container. Which command the reply names is not looked at.
            """

        def decode_error(self, flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
            """Of an NLMSG_ERROR (or NLMSG_DONE): the errno (positive, 0 for an ACK), and the extack's MSG and OFFS.

            ``flags`` are the message's; TLVs are read where NLM_F_ACK_TLVS is set, after the echoed request (its header
            alone where NLM_F_CAPPED is set).
            """

        def decode_done(self, flags: int, datagram: bytes, start: int, end: int) -> tuple[int, str | None, int | None]:
            """The same of an NLMSG_DONE, whose TLVs follow its i32 at once."""

        def decode_family_id(self, datagram: bytes, start: int, end: int) -> int:
            """CTRL_ATTR_FAMILY_ID of the controller's CTRL_CMD_NEWFAMILY; DecodeError where there is none."""


def chosen() -> Backend:
    """The backend in use, imported at the first call."""
    wanted = os.environ.get("IPVSNL_BACKEND", "")
    if wanted not in ("", "native", "ctypes"):
        raise ImportError(f"IPVSNL_BACKEND must be 'native' or 'ctypes', not {wanted!r}")
    if wanted != "ctypes":
        try:
            import ipvsnl.backends.native as native

            return native
        except ModuleNotFoundError as missing:
            if wanted == "native" or missing.name not in ("ipvsnl._native._core", "_cffi_backend"):
                raise
    import ipvsnl.backends.portable as portable

    return portable
