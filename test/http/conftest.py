"""A proxy before origins that the tests write themselves.

`proxy` has one origin and the usual time-outs; `site` (above) builds anything else."""

import pytest

import raw

SETTINGS = """
  timeout { connect = 500ms  first-byte = 700ms  request-head = 1s  client-idle = 10s }
  retry { on = {connect, reset, timeout, 5xx}  attempts = 3  budget = 20% }
  limit { head = 16k  fields = 64  body = 1g }
"""


def config(port, origins, settings=SETTINGS):
    backends = "\n".join(f"  backend {o.address}" for o in origins)
    return (f"service web {{\n  listen = http://127.0.0.1:{port}\n{backends}\n  check = none\n"
            f"{settings}}}\n")


class Proxy:
    def __init__(self, site, origins=1, **options):
        self.site = site
        self.origins = [raw.Origin(site.port()) for _ in range(origins)]
        self.origin = self.origins[0]
        self.port = site.port()
        self.node = site.node(config(self.port, self.origins, **options), self.port)

    def behave(self, behaviour):
        for o in self.origins:
            o.behaviour = behaviour

    def connect(self, **options):
        return raw.connect(self.port, **options)

    def exchange(self, data):
        """Sends bytes on a connection of their own; the answer."""
        peer = self.connect()
        try:
            peer.send(data)
            return peer.message()
        finally:
            peer.close()

    def close(self):
        for o in self.origins:
            o.close()


@pytest.fixture
def make_proxy(site):
    made = []

    def make(**options):
        made.append(Proxy(site, **options))
        return made[-1]

    yield make
    for p in made:
        p.close()


@pytest.fixture
def proxy(make_proxy):
    return make_proxy()
