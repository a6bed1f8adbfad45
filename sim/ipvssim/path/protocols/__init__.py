"""The protocols that IPVS balances or follows, as state machines in tables."""

from ipvssim.path.protocols.ah_esp import AH, ESP, ISAKMP, AhEsp
from ipvssim.path.protocols.machine import INPUT, INPUT_ONLY, OUTPUT, Machine
from ipvssim.path.protocols.sctp import Sctp
from ipvssim.path.protocols.tcp import Tcp
from ipvssim.path.protocols.udp import Udp

__all__ = ["AH", "ESP", "INPUT", "INPUT_ONLY", "ISAKMP", "OUTPUT", "AhEsp", "Machine", "Sctp", "Tcp", "Udp"]
