"""The rules, as nftables and as iptables are told them.

Everything but the sidecar's own user is redirected, at the output of its own network namespace.  Told by user and not
by port, so that no source port that an agent could choose lets it pass.  Each set is written whole, in one transaction
of the kernel's: there is no moment with half of it, and none without it where it replaces an older one.

- New TCP connections to the ports go to the sidecar's transparent port on loopback.
- One that still has such a destination behind the redirect was not redirected, for whatever reason, and is reset.  New
  ones only: a closing connection of the sidecar's belongs to no user any more.
- QUIC (UDP to the same ports) cannot be redirected into a TCP port, and is rejected, so that clients fall back at once
  instead of waiting.
- Loopback is left alone: what stays in the pod reaches no tool, or reaches it through the sidecar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network

TABLE = "agent_sidecar"
CHAIN = "AGENT_SIDECAR"
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Redirect:
    """Who is redirected, and where to."""

    uid: int
    """The sidecar's own user, who goes straight."""
    to: int
    """The sidecar's transparent port."""
    ports: tuple[int, ...] = (80, 443)
    """Destination ports that are redirected."""
    exclude: tuple[Network, ...] = ()
    """Destinations that are left alone."""

    @property
    def mark(self) -> str:
        """Stands in the rules as a comment: a set that has it was made from these very words."""
        return f"sidecar:{blake2b(repr(self).encode(), digest_size=8).hexdigest()}"

    def excluded(self, version: int) -> Sequence[Network]:
        return [network for network in self.exclude if network.version == version]


def nft(redirect: Redirect) -> str:
    """For ``nft -f -``.  Declared before it is deleted, since what is not there cannot be deleted."""
    ports = ", ".join(map(str, redirect.ports))
    passed = [f'meta skuid {redirect.uid} accept comment "{redirect.mark}"', 'oifname "lo" accept']
    for version, family in ((4, "ip"), (6, "ip6")):
        if networks := redirect.excluded(version):
            passed.append(f"{family} daddr {{ {', '.join(map(str, networks))} }} accept")
    lines = "\n    ".join(passed)
    return f"""table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  chain to_sidecar {{
    type nat hook output priority -100; policy accept;
    {lines}
    tcp dport {{ {ports} }} redirect to :{redirect.to}
  }}
  chain guard {{
    type filter hook output priority 0; policy accept;
    {lines}
    ct state new tcp dport {{ {ports} }} reject with tcp reset
    udp dport {{ {ports} }} reject
  }}
}}
"""


def nft_removed() -> str:
    return f"table inet {TABLE}\ndelete table inet {TABLE}\n"


def iptables(redirect: Redirect, version: int, *, hooked: Sequence[str]) -> str:
    """For ``iptables-restore --noflush``, or ``ip6tables-restore``.

    ``hooked``: the tables whose OUTPUT leads to our chain already.  A chain that is declared is emptied.
    """
    ports = ",".join(map(str, redirect.ports))
    passed = [
        f'-m owner --uid-owner {redirect.uid} -m comment --comment "{redirect.mark}" -j RETURN',
        "-o lo -j RETURN",
        *(f"-d {network} -j RETURN" for network in redirect.excluded(version)),
    ]
    ends = {
        "nat": [f"-p tcp -m multiport --dports {ports} -j REDIRECT --to-ports {redirect.to}"],
        "filter": [
            f"-p tcp -m conntrack --ctstate NEW -m multiport --dports {ports} -j REJECT --reject-with tcp-reset",
            f"-p udp -m multiport --dports {ports} -j REJECT",
        ],
    }
    lines = []
    for table, end in ends.items():
        hook = [] if table in hooked else [f"-I OUTPUT -j {CHAIN}"]
        rules = [f"-A {CHAIN} {rule}" for rule in (*passed, *end)]
        lines += [f"*{table}", f":{CHAIN} - [0:0]", *hook, *rules, "COMMIT"]
    return "\n".join(lines) + "\n"


def iptables_removed(hooked: Sequence[str]) -> str:
    """Nothing of ours is left in the tables that are ``hooked``."""
    lines = []
    for table in hooked:
        lines += [f"*{table}", f":{CHAIN} - [0:0]", f"-D OUTPUT -j {CHAIN}", f"-X {CHAIN}", "COMMIT"]
    return "\n".join(lines) + "\n"
