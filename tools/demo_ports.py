"""Ports for the demo: which are free, and whether somebody listens. Part of demo.py."""

import socket


def connects(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False


def is_free(host, port):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        with socket.socket(socket.AF_INET, kind) as s:
            try:
                s.bind((host, port))
            except OSError:
                return False
    return True


def free_ports(n, hosts, beside=3):
    """Ports that are free at each of these addresses. Two behind the first one are free as well: the coordinator's."""
    ports = []
    while len(ports) < n:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        wanted = range(port, min(port + (1 if ports else beside), 65536))
        taken = {*range(ports[0], ports[0] + beside), *ports} if ports else set()
        if len(wanted) == (1 if ports else beside) and not taken & set(wanted) \
                and all(is_free(host, p) for host in hosts for p in wanted):
            ports.append(port)
    return ports
