"""The contract that both backends keep: their functions, what these take and give, and the words of every fault."""

from __future__ import annotations

from ipvsnl.errors import EncodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Protocol

    Column = tuple[Any, int, int, int, bool]
    """A column: its data (a buffer), bytes from item to item, bytes of an item, where in the request, swapped or not."""
    Outcome = tuple[list[tuple[int, int, str | None]], bool, BaseException | None]
    """Refusals (sequence number, errno, the kernel's words), whether the requests were sent, and what went wrong."""

    class Progress(Protocol):
        """How far a rule text is read: what :meth:`Backend.rules` takes and gives."""

        at: int
        line: int
        sequence: int
        few: int
        final: bool
        additions: bool
        stop: int
        made: int
        length: int
        last: int
        dry: bool
        edits: int

    Rules = Callable[[bytes, "Progress", int, bytes, bytearray, int, memoryview, int], None]
    Deletions = Callable[[bytes, "Progress", int, bytearray, int, memoryview, int], None]

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

        # --- bulk ---

        @property
        def rules(self) -> Rules | None:
            """Write the requests of plain lines into ``out``, from byte ``used`` on; None where Python reads the text.

            Arguments: the text, the progress, the family's number, ``stops``, ``out``, ``used``, ``origins``, ``count``.
            It begins at byte ``progress.at`` of the text. It returns for one of these reasons, and ``progress.stop`` says
            for which (:class:`Stop`):

            - It met a line that is not plain.
            - It met a service with one of the schedulers ``stops`` (each name with its NUL), and ``progress.few`` or more
              lines with servers of this service follow, or the text ends before that is known.
            - ``progress.additions`` is set, and it met a line that is no addition.
            - The text is at its end. A last line without a line feed is read only if ``progress.final`` is set.
            - ``out`` is full, or ``origins``. That gets two numbers for each request, its line's offset in the text and its
              line number, from pair ``count`` on.

            Afterwards ``progress`` says how far it came: ``made`` requests in ``length`` bytes, ``last`` the offset of the
            last one in ``out``, ``edits`` how many of them are no additions. With ``progress.dry`` lines are only read, and
            ``made`` counts lines.
            """

        @property
        def deletions(self) -> Deletions | None:
            """Requests to delete the services which plain lines add, the last first. None as :attr:`rules` is.

            Arguments as those of :attr:`rules`, without ``stops``. It begins with the line that ends before
            ``progress.at`` and goes back to the beginning of the text; every other line is passed over; the line numbers in
            ``origins`` are 0. Where ``progress.at`` is not 0 afterwards, there was no room for more.
            """

        def stamp(
            self, pattern: bytes, sequence: int, columns: Sequence[Column], first: int, rows: int, out: bytearray,
            used: int,
        ) -> None:  # fmt: skip
            """``rows`` requests like ``pattern`` into ``out``, each with its sequence number and its items of ``columns``.

            EncodeError for a column that ends early or has no place in the request, and where ``out`` has no room.
            """

        def take_records(self, group: str, datagram: bytes, sequence: int) -> tuple[bytes, bool, int, bool]:
            """The records of a dump's replies in a datagram; whether the dump is over; with which errno; and whether what
            it reads changed meanwhile (NLM_F_DUMP_INTR), so that it must be read again.

            DecodeError as of :meth:`split` and :meth:`decode`, for lost replies, and for a reply that names another
            command than a reply of the group.
            """

        @property
        def converse(self) -> Callable[[int, Any, int, int, int, float], Outcome] | None:
            """Send requests over a socket and take in the answers to ``first`` ... ``closing`` (so many refusals at most).

            The last argument is how many seconds it may take without an answer of ours. Signals' handlers run at once;
            what one raises is the trouble that comes out, when everything sent is answered. The interpreter's lock is
            released meanwhile. None where only Python's sockets can.
            """

        @property
        def dump(self) -> Callable[[int, bytes, str, int, float], tuple[Any, int, bool]] | None:
            """The records of a dump over a socket, in one buffer; its errno and whether it must be read again.

            The last argument is how many seconds may pass without a record of ours. LinkError for more than
            :data:`MOST_RECORDS` bytes.
            """

        @property
        def dump_servers(self) -> Callable[[int, int, Any, int, memoryview, float], tuple[Any, int, bool]] | None:
            """The records of the servers of all services (their records), their counts, the next sequence number, and
            whether they must be read again."""

        @property
        def printed(self) -> Callable[[int, Any, Any, memoryview, int], Iterator[bytes | int]] | None:
            """A table as text with numbers, in ipvsadm's order: a kind and options of :class:`Print`, its services' records,
            its servers' (in the services' order), and how many each service has.

            The number of a service that is not plain (names, flags or numbers that take some thought) stands between the
            texts, in its place. None where Python is as good.
            """


MOST_RECORDS = 1 << 30
"""Bytes of records that one dump has at most (some four million servers): one with more is taken not to end."""
TOO_MANY = f"a dump had more than {MOST_RECORDS >> 20} MiB of records, and no end"


class Stop:
    """Why :meth:`Backend.rules` came back."""

    END, FULL, LINE = 0, 1, 2


class Print:
    """What :meth:`Backend.printed` writes: what ``-S`` does, or the lines of a listing, without its titles."""

    SAVED, USUAL, STATS, RATE, THRESHOLDS, PERSISTENT = range(6)
    WITH_THRESHOLDS, EXACT, NARROW, UNSORTED, OWN = 1, 2, 4, 8, 16
    """Options: saved servers have ``-x`` and ``-y``; no counter is shortened; those of servers have 32 bits where
    ipvsadm's have; the kernel's order; saved rules that need an option of our own are not written."""


FAMILY_NAME_MAX = 15
"""Bytes of a generic-netlink family's name (GENL_NAMSIZ - 1)."""
ERRNO_MAX = 4095
"""The largest errno that a kernel answers (its own MAX_ERRNO)."""


class Fault:
    """What can be wrong with a request (the first part) or with a datagram: names as in core.h's ``enum ipvsnl_code``."""

    NO_ROOM = "the buffer is too small"
    RECORD_SIZE = "it ends elsewhere than its layout"
    UNKNOWN_BIT = "an attribute is marked present that does not exist"
    RECORD_TEXT = "text without NUL"
    FAMILY_NAME = "a family's name is 1 to 15 ASCII characters, none of them NUL"

    BOUNDS = "the payload leaves the datagram"
    CUT_HEADER = "the datagram ends in a netlink header"
    SHORT_MESSAGE = "the message is shorter than its header"
    LONG_MESSAGE = "the message leaves the datagram"
    CUT_GENL = "the message ends in its generic netlink header"
    STRAY = "stray bytes after the last attribute"
    SHORT_ATTRIBUTE = "the attribute is shorter than its header"
    LONG_ATTRIBUTE = "the attribute leaves its container"
    INTEGER_SIZE = "the integer is of another size"
    LONG_BYTES = "more bytes than the attribute may have"
    NO_NUL = "text without NUL"
    LONG_TEXT = "text longer than the attribute may be"
    NO_GROUP = "the reply lacks the group"
    CUT_ERROR = "the message ends in its error number or the echoed header"
    ERRNO = "no error number"
    ECHO = "the echoed request leaves the message"
    NO_FAMILY_ID = "the reply lacks the family's number"
    OTHER_REPLY = "the reply names another command than what was asked for"
    MANY_ANSWERS = "a request has more than one answer"

    COLUMN = "the column is too short, or has no place in the request"
    LOST = "replies were lost: the receive queue overran"
    SILENT = "the kernel did not answer in time"
    INTERRUPTED = "a signal came"
    SYSTEM = "the system call failed"

    RANGE = "the family's number, command, flags or sequence is out of range"
    """Of Python's unbounded integers alone: C's types are those of the wire."""


def encode_error(words: str, group: str = "", offset: int = 0) -> EncodeError:
    """The caller's mistake; in which record and where in it, if it is a record's."""
    return EncodeError(f"{group} record: {words} (at byte {offset})" if group else words)


def family_name(name: str) -> bytes:
    """A family's name as bytes; of one that is not ASCII nothing, which both backends refuse."""
    return name.encode() if name.isascii() else b""
