"""Kinds about who gets the next connection: one for each scheduler, and `sched`, a mixture of all."""

from __future__ import annotations

from collections.abc import Callable

from . import packets as p
from .script import SCHEDULERS, Flow, Script, Service

FLAGS = {
    "sh": ("sh-port", "sh-fallback", "sh-port,sh-fallback"),
    "mh": ("mh-port", "mh-fallback", "mh-port,mh-fallback"),
}


def flags(script: Script, scheduler: str) -> tuple[object, ...]:
    if scheduler in FLAGS and script.chance(50):
        return ("-b", script.random.choice(FLAGS[scheduler]))
    return ()


def end_some(script: Script, flows: list[Flow]) -> None:
    """One connection moves on, so that it counts no longer, or differently, as active."""
    flow = script.random.choice(flows)
    if flow.service.protocol != p.TCP:
        script.open(flow)
    elif script.chance(60):
        script.packet(script.segment(flow, script.pick(p.FIN | p.ACK, p.FIN)), flow.mark)
    else:
        script.packet(script.segment(flow, script.pick(p.ACK, p.RST, p.SYN, p.PSH)), flow.mark)


def change(script: Script, service: Service, spare: list[int]) -> None:
    """The administrator at work: a server more, one fewer, another weight, other thresholds."""
    known = list(service.servers)
    what = script.random.randrange(10)
    if (what < 3 or not known) and spare:
        script.server(service, spare.pop(), None, *script.thresholds())
    elif what < 5 and len(known) > 1:
        text = script.random.choice(known)
        script.remove(service, text)
        spare.insert(0, int(text.rpartition(".")[2]) if "." in text else int(text.rpartition(":")[2], 16))
    elif known:
        weight = script.pick(0, 0, 1, 2, 3, 7, 10)
        script.edit(service, script.random.choice(known), weight, *script.thresholds())


def scheduled(script: Script, scheduler: str, service: Service, length: int) -> None:
    spare = list(range(10, 14 if len(service.address) == 16 else 22))
    script.random.shuffle(spare)
    for _ in range(script.random.randrange(2, min(6, len(spare)))):
        script.server(service, spare.pop(), None, *script.thresholds(15))
    flows: list[Flow] = []
    if service.protocol == p.SCTP:
        length = min(length, 20)  # an INIT is forgotten after 4 seconds: all is to be over long before
    for _ in range(length):
        what = script.random.randrange(100)
        if what < 72 or not flows:
            flows.append(script.open(script.flow(service)))
        elif what < 84:
            end_some(script, flows)
        elif what < 96:
            change(script, service, spare)
        else:
            script.ipvsadm("-Ln")
    if script.chance(15):
        other = script.random.choice(SCHEDULERS)
        script.ipvsadm("-E", *service.words, "-s", other, *flags(script, other))
        for _ in range(4):
            script.open(script.flow(service))
    script.look(stats=script.chance(40))


def one_scheduler(scheduler: str) -> Callable[[int], Script]:
    def kind(seed: int) -> Script:
        script = Script(scheduler, seed, marks=[7])
        mark = 7 if script.chance(25) else None
        six = mark is None and script.chance(10)
        protocol = script.pick(p.TCP, p.TCP, p.UDP, p.SCTP) if not six else script.pick(p.TCP, p.UDP)
        service = script.service(scheduler, protocol, six=six, mark=mark, flags=flags(script, scheduler))
        if mark:
            roam(script, service)
        else:
            scheduled(script, scheduler, service, script.random.randrange(28, 45))
        return script

    kind.__doc__ = f"Connections through {scheduler} while servers come, go and change."
    return kind


def roam(script: Script, service: Service) -> None:
    """A firewall mark's service met at many virtual addresses: what dh, lblc and lblcr tell apart."""
    for number in script.random.sample(range(10, 20), script.random.randrange(2, 5)):
        script.server(service, number)
    flows: list[Flow] = []
    for _ in range(script.random.randrange(28, 40)):
        if flows and script.chance(15):
            end_some(script, flows)
            continue
        if script.chance(12):
            change(script, service, [])
        address = p.address(f"203.0.113.{script.random.randrange(1, 12)}")
        place = Service(service.words, service.protocol, address, service.port, service.mark, service.method)
        flows.append(script.open(script.flow(place)))
    script.look(stats=False)


def sched(seed: int) -> Script:
    """Any scheduler, any protocol; services that share servers."""
    script = Script("sched", seed)
    services: list[Service] = []
    for protocol in script.random.sample((p.TCP, p.UDP, p.SCTP), 2):
        scheduler = script.random.choice(SCHEDULERS)
        services.append(script.service(scheduler, protocol, flags=flags(script, scheduler)))
        for number in script.random.sample(range(10, 20), script.random.randrange(1, 5)):
            script.server(services[-1], number, None, *script.thresholds(25))
    flows: list[Flow] = []
    for _ in range(script.random.randrange(24, 36)):
        service = script.random.choice(services)
        what = script.random.randrange(100)
        if what < 75 or not flows:
            flows.append(script.open(script.flow(service)))
        elif what < 88:
            end_some(script, flows)
        else:
            change(script, service, [20, 21])
    script.look()
    return script


KINDS: dict[str, Callable[[int], Script]] = {name: one_scheduler(name) for name in SCHEDULERS} | {"sched": sched}
