"""The loop: a held call is read, decided about, and answered; whatever happens, its caller is not left waiting."""

from __future__ import annotations

import errno
import select
from collections.abc import Callable
from functools import partial

from ipvssim.run import calls
from ipvssim.run.endpoint import Endpoint
from ipvssim.run.files import Files, Writer
from ipvssim.run.notify import Call
from ipvssim.run.old_options import OldOptions
from ipvssim.run.outcome import KEPT, PASS, Outcome, Undoable
from ipvssim.run.reach import Gate, Listener
from ipvssim.run.receiving import Receiving
from ipvssim.run.sending import Sending
from ipvssim.run.sockets import Sockets
from ipvssim.run.worlds import Worlds

_IN, _GONE = select.EPOLLIN, select.EPOLLHUP | select.EPOLLERR
_SOCKET_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLET

Handler = Callable[[Call], Outcome]


class Supervisor:
    """Answers the calls of all programs whose listeners it has. ``complain`` is told, in a line, what nobody else is told;
    ``told`` is handed every datagram (``--trace``)."""

    def __init__(
        self,
        worlds: Worlds,
        *,
        complain: Callable[[str], object],
        told: Callable[[Endpoint, str, bytes], object] | None = None,
    ) -> None:
        machine = calls.here()
        assert machine is not None, "launch() refuses to begin on another machine"
        self.worlds = worlds
        self._complain = complain
        self._watched: dict[int, Callable[[int], object]] = {}
        self._listeners: dict[int, Listener] = {}
        self._gate = Gate(machine)
        self._sockets = Sockets(worlds, self._gate, self._watch_endpoint, told)
        self._receiving = Receiving(self._sockets, self.decide)
        self._sending = Sending(self._sockets, self._gate, self._receiving.wake)
        self._old = OldOptions(worlds)
        self._files = Files(worlds, self._watch_writer)
        self._handlers = {
            machine.numbers[name]: one for name, one in self._by_name().items() if name in machine.numbers
        }

    def _by_name(self) -> dict[str, Handler]:
        sockets, files, sending, receiving = self._sockets, self._files, self._sending, self._receiving
        return {
            "socket": sockets.socket, "bind": sockets.bind, "connect": sockets.connect,
            "getsockname": sockets.getsockname, "getpeername": sockets.getpeername,
            "listen": sockets.unknown, "shutdown": sockets.unknown,
            "setsockopt": self._set_option, "getsockopt": self._get_option,
            "sendto": sending.sendto, "sendmsg": sending.sendmsg, "sendmmsg": sending.sendmmsg,
            "recvfrom": receiving.recvfrom, "recvmsg": receiving.recvmsg, "recvmmsg": receiving.recvmmsg,
            "open": files.open, "openat": files.openat, "openat2": files.openat2,
            "stat": files.stat, "lstat": files.stat, "newfstatat": files.newfstatat, "statx": files.statx,
            "access": files.access, "faccessat": files.faccessat, "faccessat2": files.faccessat,
            "getxattr": files.getxattr, "lgetxattr": files.getxattr, "listxattr": files.listxattr,
            "llistxattr": files.listxattr, "readlink": files.readlink, "readlinkat": files.readlinkat,
        }  # fmt: skip

    def _set_option(self, call: Call) -> Outcome:
        return self._old.set(call) if call.a1 & calls.ALL == calls.SOL_IP else self._sockets.setsockopt(call)

    def _get_option(self, call: Call) -> Outcome:
        return self._old.get(call) if call.a1 & calls.ALL == calls.SOL_IP else self._sockets.getsockopt(call)

    # --- who is looked after ---

    def adopt(self, descriptor: int) -> Listener:
        """Answer for a program whose calls are held on this descriptor, which is the supervisor's from now on."""
        listener = Listener(descriptor)
        self._listeners[descriptor] = listener
        self._watched[descriptor] = lambda _: self._lose(listener)
        self._gate.admit(listener)
        return listener

    def watch(self, descriptor: int, ready: Callable[[int], object], events: int = _IN) -> None:
        """Call ``ready`` with a descriptor's events, whenever there are some."""
        self._watched[descriptor] = ready
        self._gate.watch(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        """Do so no more."""
        if self._watched.pop(descriptor, None) is not None:
            self._gate.unwatch(descriptor)

    @property
    def busy(self) -> bool:
        """Whether anybody is left behind a filter."""
        return bool(self._listeners)

    def turn(self, timeout: float | None = None) -> None:
        """Wait for something to do, at most ``timeout`` seconds, and do it."""
        waiting = self._receiving.expire() if self._receiving.waits else None
        if waiting is not None and (timeout is None or waiting < timeout):
            timeout = waiting
        events, call = self._gate.turn(timeout)
        for descriptor, what in events:
            ready = self._watched.get(descriptor)
            if ready is not None:
                ready(what)
        if call is not None:
            self.decide(call)

    def close(self) -> None:
        """Let go of everything: calls that are held, and all later ones, fail with ENOSYS."""
        for listener in list(self._listeners.values()):
            self._lose(listener)
        self._sockets.close()
        self._gate.close()

    # --- decisions ---

    def decide(self, call: Call) -> None:
        """Say what becomes of a call."""
        try:
            outcome = self._handlers[call.number](call)
        except OSError as wrong:
            outcome = -(wrong.errno or errno.EIO)
        except Exception as wrong:  # a fault of ours, or of a user's scheduler: the program hears of it, and we go on
            self._complain(f"system call {call.number} of {call.tid}: {type(wrong).__name__}: {wrong}")
            outcome = -errno.EIO
        self._sockets.let_go()
        if isinstance(outcome, Undoable):
            if not call.answer(outcome.value):
                outcome.undo()
        elif outcome == PASS:
            call.pass_on()
        elif outcome == KEPT:
            return
        elif outcome < 0:
            call.refuse(-outcome)
        else:
            call.answer(outcome)

    def _lose(self, listener: Listener) -> None:
        self.unwatch(listener.fileno())
        self._listeners.pop(listener.fileno(), None)
        self._receiving.forget(listener)
        listener.close()

    # --- what programs hold ---

    def _watch_endpoint(self, endpoint: Endpoint, is_watched: bool) -> None:
        channel = endpoint.channel.fileno()
        self._watched[channel] = partial(self._endpoint_ready, endpoint)
        if not is_watched:
            self._gate.watch(channel, _SOCKET_EVENTS, channel=True)

    def _endpoint_ready(self, endpoint: Endpoint, events: int) -> None:
        if not events & (_IN | _GONE) and not endpoint.was_read:
            return  # we have taken something out of it ourselves
        if events & ~_GONE:
            endpoint.settle()
            endpoint.catch_up(lambda: 0, written=bool(events & _IN))
            self._receiving.wake(endpoint)
        if events & _GONE:
            del self._watched[endpoint.channel.fileno()]  # to close it ends the watch itself
            self._sockets.forget(endpoint)
        else:
            endpoint.lay_ready()

    def _watch_writer(self, writer: Writer) -> None:
        self.watch(writer.channel.fileno(), partial(self._writer_ready, writer))

    def _writer_ready(self, writer: Writer, events: int) -> None:
        for words in writer.catch_up():
            self._complain(f"/proc/sys/net/ipv4/vs/{writer.name}: {words}")
        if events & _GONE:
            self.unwatch(writer.channel.fileno())
            writer.channel.close()
