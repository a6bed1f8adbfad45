"""ipvsadm's verbs as requests: written once for calls that go out at once, for coroutines and for batches."""

from __future__ import annotations

from ipvsnl.family import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, TypeVar

    from ipvsnl.model import Destination, Service
    from ipvsnl.wire import records

    Subject = tuple[Service | None, Destination | None]
    """What a request is about, for its refusal to name."""
    Records = tuple[bytes | None, bytes | None]
    """What it says: the service's record and the server's."""
    Done = TypeVar("Done")

    class Returning(Generic[Done]):
        """What a verb returns: None, or what is awaited."""
else:

    class Returning:
        """The same at run time, without typing, which takes long to import."""

        def __class_getitem__(cls, _):
            return cls

    from ipvsnl._later import Later

    records = Later("ipvsnl.wire.records")

NOTHING = None, None


class Verbs(Returning["Done"]):
    """The changes of a table. ``tag`` comes back in the error of a refusal, to know the change by (a line number, say)."""

    def add_service(self, service: Service, *, tag: object = None) -> Done:
        """Add a virtual service (``ipvsadm -A``); EEXIST where it is there already, ENOENT for an unknown scheduler."""
        return self._change(Command.NEW_SERVICE, (service, None), (records.service_record(service), None), tag=tag)

    def edit_service(self, service: Service, *, tag: object = None) -> Done:
        """Make the virtual service of that key be ``service``, whole (``ipvsadm -E``); ESRCH where there is none."""
        return self._change(Command.SET_SERVICE, (service, None), (records.service_record(service), None), tag=tag)

    def delete_service(self, service: Service, *, tag: object = None) -> Done:
        """Delete a virtual service with its real servers (``ipvsadm -D``); ESRCH where there is none."""
        return self._change(Command.DEL_SERVICE, (service, None), (records.service_key(service), None), tag=tag)

    def add_server(self, service: Service, destination: Destination, *, tag: object = None) -> Done:
        """Add a real server (``ipvsadm -a``); ESRCH without the service, EEXIST where the server is there already."""
        said = records.service_key(service), records.destination_record(destination)
        return self._change(Command.NEW_DEST, (service, destination), said, tag=tag)

    def edit_server(self, service: Service, destination: Destination, *, tag: object = None) -> Done:
        """Make the real server of that key be ``destination``, whole (``ipvsadm -e``); ENOENT where there is none."""
        said = records.service_key(service), records.destination_record(destination)
        return self._change(Command.SET_DEST, (service, destination), said, tag=tag)

    def delete_server(self, service: Service, destination: Destination, *, tag: object = None) -> Done:
        """Delete a real server (``ipvsadm -d``); its connections stay as ``expire_nodest_conn`` says."""
        said = records.service_key(service), records.destination_key(destination)
        return self._change(Command.DEL_DEST, (service, destination), said, tag=tag)

    def flush(self, *, tag: object = None) -> Done:
        """Delete every virtual service (``ipvsadm -C``); daemons and timeouts stay."""
        return self._change(Command.FLUSH, tag=tag)

    def zero(self, service: Service | None = None, *, tag: object = None) -> Done:
        """Zero the counters of one virtual service and its servers, or of all (``ipvsadm -Z``)."""
        record = records.service_key(service) if service is not None else None
        return self._change(Command.ZERO, (service, None), (record, None), tag=tag)

    def _change(
        self, command: int, subject: Subject = NOTHING, records: Records = NOTHING, *, tag: object = None
    ) -> Done:
        """Carry one request out, or put it with others."""
        raise NotImplementedError
