"""What the lab's senders and receivers of UDP datagrams share."""

import socket

# Linux: a receive buffer beyond the system's limit, for root.
SO_RCVBUFFORCE = 33


def receiver(address: str, port: int) -> socket.socket:
    """A socket with a deep buffer, on which the first datagram may be ten seconds away."""
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    connection.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
    connection.bind((address, port))
    connection.settimeout(10)
    return connection
