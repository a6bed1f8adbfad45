"""Watch connections: what a client's connection looks like from SYN to the end, as `ipvsnl -L -c` shows it."""

from scapy.layers.inet import IP, TCP

from ipvssim import Kernel

kernel = Kernel("-A -t 192.0.2.1:80 -s rr\n-a -t 192.0.2.1:80 -r 10.0.0.10:8080 -m")
ipvs = kernel.connect()  # on a director: ipvsnl.open()


def show(what):
    """The connections as they are now."""
    print(f"{kernel.now:5.0f} s  {what}")
    for one in ipvs.connections():
        server = f"{one.destination}:{one.destination_port}"
        print(f"         {one.client}:{one.client_port} on {server} {one.state}, {one.expires} s left")


def client(flags):
    """A packet of the client's."""
    return kernel.receive(IP(src="198.51.100.7", dst="192.0.2.1") / TCP(sport=1024, dport=80, flags=flags))


def server(flags):
    """A packet of the server's, on its way back through the director."""
    return kernel.receive(IP(src="10.0.0.10", dst="198.51.100.7") / TCP(sport=8080, dport=1024, flags=flags))


client("S")
show("the client has sent a SYN")
server("SA")
client("A")
show("the connection is established")
kernel.advance(600)
show("ten silent minutes later")
client("FA")
server("FA")
client("A")
show("both have closed")
kernel.advance(121)
show("and it is forgotten")
