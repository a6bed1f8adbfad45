"""How packets get to a server: packet bytes in, packet bytes out, nothing else touched."""

from ipvssim.path.forwarding import local, nat, route, tunnel

__all__ = ["local", "nat", "route", "tunnel"]
