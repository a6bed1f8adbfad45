"""Draws docs/pictures/top.svg: ``ipvsnl top`` in a real terminal (tmux), above real traffic on the real kernel.

ipvsnl lab-kernel -- .venv/bin/python docs/pictures/record_top.py
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))
import ipvsnl  # noqa: E402
from tests.conftest import enter_fresh_namespace  # noqa: E402

WIDTH, HEIGHT = 100, 16
WEB = ipvsnl.Service("tcp", "192.0.2.1", 80, scheduler="wlc")
DNS = ipvsnl.Service("udp", "192.0.2.1", 53, scheduler="rr")
API = ipvsnl.Service("tcp", "192.0.2.1", 443, scheduler="sh", persistence=300)


def server(number: int, port: int, weight: int = 1) -> ipvsnl.Destination:
    """A real server of this host's."""
    return ipvsnl.Destination(f"10.0.0.{number}", port, "masq", weight)


TABLE = {
    WEB: [server(11, 8080, 3), server(12, 8080), server(13, 8080, 0)],
    DNS: [server(11, 53), server(12, 53)],
    API: [server(12, 8443)],
}


def started(function: Callable[..., None], *arguments: object) -> None:
    """The function in a thread that ends with the process."""
    threading.Thread(target=function, args=arguments, daemon=True).start()


def serve(listener: socket.socket) -> None:
    """Answer every connection."""
    while True:
        started(talk, listener.accept()[0])


def talk(connection: socket.socket) -> None:
    """Answer thrice what comes."""
    while data := connection.recv(4000):
        connection.sendall(data * 3)


def answer(port: socket.socket) -> None:
    """Answer datagrams."""
    while True:
        data, client = port.recvfrom(2000)
        port.sendto(data * 2, client)


def browse(port: int, kept: int) -> None:
    """Open connections one after the other, and keep so many of them."""
    connections: list[socket.socket] = []
    while True:
        connections.append(socket.create_connection((WEB.address, port)))
        connections[-1].sendall(b"x" * 700)
        connections[-1].recv(4000)
        if len(connections) > kept:
            connections.pop(0).close()
        time.sleep(0.05)


def ask() -> None:
    """Ask the name servers, each time from another port."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.settimeout(1)
            port.sendto(b"q" * 60, (DNS.address, DNS.port))
            port.recv(999)
        time.sleep(0.04)


def tmux(*words: str) -> str:
    """A terminal of our own."""
    environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    place = ["-S", f"{tempfile.gettempdir()}/record-top"]
    return subprocess.run(["tmux", *place, *words], env=environment, capture_output=True, text=True).stdout


def main() -> None:
    """Traffic, top, two edits, and the screen as SVG and as text."""
    enter_fresh_namespace()
    for address in ("192.0.2.1", "10.0.0.11", "10.0.0.12", "10.0.0.13"):
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True)
    ipvs = ipvsnl.open()
    ipvs.apply(ipvs.plan(TABLE))
    for where in (("10.0.0.11", 8080), ("10.0.0.12", 8080), ("10.0.0.12", 8443)):
        started(serve, socket.create_server(where, backlog=100))
    for host in ("10.0.0.11", "10.0.0.12"):
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port.bind((host, 53))
        started(answer, port)
    for port_number, kept in ((80, 40), (80, 25), (443, 9)):
        started(browse, port_number, kept)
    started(ask)
    command = f"{Path(sys.executable).with_name('ipvsnl')} top"
    tmux("new-session", "-d", "-x", str(WIDTH), "-y", str(HEIGHT), command)
    time.sleep(9)
    ipvs.edit_server(WEB, server(12, 8080), weight=2)
    ipvs.edit_service(DNS, scheduler="wrr")
    time.sleep(5)
    screen = tmux("capture-pane", "-p", "-e")
    print(tmux("capture-pane", "-p"))
    tmux("send-keys", "q")
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text.from_ansi(screen.rstrip("\n")))
    console.save_svg(str(HERE / "top.svg"), title="ipvsnl top")


if __name__ == "__main__":
    main()
