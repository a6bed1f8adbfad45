"""The protocols that IPVS balances or follows, as state machines in tables."""

from ipvssim.protocols.ah_esp import AH, ESP, ISAKMP, AhEsp
from ipvssim.protocols.machine import INPUT, INPUT_ONLY, OUTPUT, Machine
from ipvssim.protocols.sctp import Sctp
from ipvssim.protocols.tcp import Tcp
from ipvssim.protocols.udp import Udp

__all__ = ["AH", "ESP", "INPUT", "INPUT_ONLY", "ISAKMP", "OUTPUT", "AhEsp", "Machine", "Sctp", "Tcp", "Udp"]
