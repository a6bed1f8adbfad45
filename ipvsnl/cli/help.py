"""What ``-h`` and ``-v`` say."""

from __future__ import annotations

VERSION = "ipvsadm v1.31 2019/12/24 (compiled with popt and IPVS v1.2.1)"
"""The ipvsadm that this command line is compatible with, word for word: scripts look at it."""

_USAGE = """\
{prog}: the command line of ipvsadm 1.31, for the Linux kernel's IPVS or a simulated one

  {prog} -A|-E SERVICE [-s SCHEDULER] [-p [SECONDS]] [-M MASK] [--pe ENGINE] [-o] [-b FLAGS]
  {prog} -D SERVICE
  {prog} -a|-e SERVICE -r SERVER [-g|-i|-m] [-w WEIGHT] [-x UPPER] [-y LOWER] [TUNNEL]
  {prog} -d SERVICE -r SERVER
  {prog} -L|-l [SERVICE | -c | --timeout | --daemon] [LISTING]
  {prog} -S [-n] > FILE        {prog} -R < FILE        {prog} -C        {prog} -Z [SERVICE]
  {prog} --set TCP TCPFIN UDP
  {prog} --start-daemon master|backup [DAEMON]         {prog} --stop-daemon master|backup
  {prog} plan|apply [--prune] [--drain SECONDS] FILE   {prog} top   {prog} export   (each with --help)
  {prog} convert [--to FORMAT] FILE                    FILE, FORMAT: rules, json, listing, proc (/proc/net/ip_vs), keepalived
  {prog} completion bash|zsh|fish
  {prog} lab-kernel [--timeout SECONDS] -- COMMAND     COMMAND as root on a real kernel of its own (--help)

Before the command:
      --target TARGET     kernel (the default), or a simulated one: sim (its table is kept in the user's state directory,
                          ~/.local/state/ipvsnl/sim.table), sim:FILE (kept there), sim::memory: (not kept),
                          unix:PATH (served by `ipvssim serve'). IPVSNL_TARGET in the environment sets another default
      --netns NAME|PATH   the network namespace whose kernel table is meant
      --progress          show how far -R is
      --debug-level N     a simulated kernel's log on standard error, up to that level (0 to 12)
Anywhere:
      --json              listings as JSON
      --atomic            -R: all lines or none
      --trash             -L: the real servers that were deleted and are not freed yet (simulated kernels)
      --service [tcp/]HOST[:PORT], --server HOST[:PORT], --state STATE
                          -L -c: only those connections
Alone:
      --version           the version of ipvsnl (-v tells the ipvsadm that it is compatible with)

Commands:
  -A, --add-service       add a virtual service
  -E, --edit-service      change one: options that are not given take their defaults
  -D, --delete-service    delete one, with its real servers
  -C, --clear             delete everything
  -R, --restore           read lines of arguments from standard input, and carry them out
  -S, --save              write the table as such lines
  -a, --add-server        add a real server to a virtual service
  -e, --edit-server       change one: options that are not given take their defaults
  -d, --delete-server     delete one
  -L, -l, --list          show the table
  -Z, --zero              set counters to zero, of one service or of all
      --set               set timeouts in seconds: of TCP, of TCP after a FIN, of UDP; 0 leaves one as it is
      --start-daemon      start a daemon that sends (master) or receives (backup) connections
      --stop-daemon       stop it
  -h, --help              this text
  -v, --version           the ipvsadm that is followed

SERVICE, what a virtual service is found by:
  -t, --tcp-service HOST:PORT       -u, --udp-service HOST:PORT       --sctp-service HOST:PORT
  -f, --fwmark-service MARK [-6]    packets with a firewall mark from 1 on; with -6 (--ipv6) those of IPv6
  HOST is a name or an address ([2001:db8::1]:80 for IPv6), PORT a name or a number; 0 (any port) needs -p

Of a virtual service:
  -s, --scheduler NAME    rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos (wlc)
  -p, --persistent [SECONDS]        send a client to the same server for so long (360)
  -M, --netmask MASK      clients of one network count as one: 255.255.255.0, or 64 for IPv6
      --pe ENGINE         how persistent clients are recognised: sip
  -o, --ops               a connection for every single packet (UDP, firewall marks)
  -b, --sched-flags LIST  flag-1,flag-2,flag-3; sh-fallback,sh-port; mh-fallback,mh-port

Of a real server:
  -r, --real-server HOST[:PORT]
  -g, --gatewaying        direct routing (the default)
  -i, --ipip              a tunnel
  -m, --masquerading      network address translation
  -w, --weight NUMBER     its share (1); 0 takes no new connections
  -x, --u-threshold NUMBER          no new connections from so many on (0: no limit)
  -y, --l-threshold NUMBER          until there are fewer than so many again
      --forward METHOD    local, bypass or a number: methods that have no option of their own
      --as-is             the rule exactly so: a port that is not the service's (-g, -i), port 0, any timeout

TUNNEL:
      --tun-type ipip|gue|gre       the kind of tunnel (ipip)
      --tun-port PORT     where a gue tunnel ends
      --tun-nocsum, --tun-csum, --tun-remcsum
                          no checksum (the default), a checksum, a remote checksum (gue)

LISTING:
  -n, --numeric           numbers, not names: names may take long to look up
  -c, --connection        the connections
      --timeout           the timeouts
      --daemon            the daemons
      --stats, --rate     counters; what they grow by in a second
  -X, --exact             all digits of large numbers
      --thresholds        the thresholds of the real servers
      --persistent-conn   how many persistence templates they have; with -c the engine's data
      --tun-info          their tunnels
      --nosort            in the kernel's order (--sort is accepted and changes nothing)

DAEMON:
      --syncid ID         0 to 255 (0)
      --sync-maxlen BYTES the longest message
      --mcast-interface NAME        where the messages travel (eth0)
      --mcast-group ADDRESS, --mcast-port PORT, --mcast-ttl HOPS
                          224.0.0.81, 8848 and 1 where not given
"""


def usage(prog: str) -> str:
    """The help text for a program of this name."""
    return _USAGE.format(prog=prog)
