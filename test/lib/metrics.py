"""metrics: what a node counts, as the admin socket tells it."""

import http.client
import re
import socket


def metrics(node):
    """{'name{labels}': value} of GET /metrics."""
    c = http.client.HTTPConnection("localhost")
    c.sock = socket.socket(socket.AF_UNIX)
    c.sock.connect(node.state + "/admin.sock")
    c.request("GET", "/metrics")
    text = c.getresponse().read().decode()
    c.close()
    return {m[1]: float(m[2]) for m in re.finditer(r"^([^#\s]\S*) (\S+)$", text, re.M)}


def of_service(node, name, service="web"):
    """One number of a service: holdfast_service_NAME."""
    return metrics(node)[f'holdfast_service_{name}{{service="{service}"}}']
