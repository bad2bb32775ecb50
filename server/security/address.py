"""Who a client is, for the bounds on one client: its address, the same on every door."""

from ipaddress import IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote


def client_of(host: str) -> str:
    """The client behind a host's address; a name or an empty one stands for itself.

    An IPv6 client commands a whole /64, so that is what is one client.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address, 64), strict=False))


def client_of_peer(peer: str) -> str:
    """The client behind what gRPC calls a peer: "ipv4:10.0.0.7:51234", "ipv6:%5B::1%5D:51234"."""
    kind, _, address = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return peer
    return client_of(address.rpartition(":")[0].strip("[]"))
