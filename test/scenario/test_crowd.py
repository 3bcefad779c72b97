"""Many clients, few places: what is allowed is never exceeded and nobody is forgotten, while backends die and limits change."""

from holdfast import sample, until
from metrics import metrics, of_service

LIMITS = "concurrency { requests = 8  per-backend = 3  queue = 1000  wait = 20s }"


def under_way(node):
    """Requests at each backend now."""
    return [n for name, n in metrics(node).items() if name.startswith("holdfast_instance_inflight")]


def test_places_are_kept_while_backends_die(site):
    backends = [site.backend(service_us=3000) for _ in range(3)]
    port = site.port()
    config = "workers = 2\n" + sample(port, backends, more=LIMITS)
    node = site.node(config, port)
    node.await_all_healthy()
    load = site.load(port, connections=64)
    most = []
    for turn in range(3):
        backends[turn].kill()
        for _ in range(10):
            load.carry(100)
            most.append(max(under_way(node)))
        backends[turn].start()
        node.reload(config.replace("requests = 8", f"requests = {6 + turn}"))
        load.carry(500)
    total = load.stop()
    assert max(most) <= 3, f"{max(most)} requests at one backend"
    assert total["idempotent"]["failed"] == 0
    assert site.delivered_twice() == []
    until(lambda: of_service(node, "waiting_requests") == 0 and sum(under_way(node)) == 0)
    waited = of_service(node, "waited_requests_total")
    assert waited > 1000
    assert of_service(node, "outwaited_requests_total") == 0
    site.report(f"{waited:.0f} requests waited for one of 8 places; at most {max(most):.0f} were at one backend")


def test_a_client_s_rate_holds_for_all_workers_together(site):
    backend = site.backend(service_us=500)
    port = site.port()
    node = site.node("workers = 2\n" + sample(
        port, [backend], more="rate { per = address  requests = 200  every = 1s  burst = 50 }"), port)
    node.await_all_healthy()
    load = site.load(port, connections=32, think_us=2000)
    load.carry(3000)
    total = load.stop()
    allowed = 50 + 200 * total["seconds"]
    passed = len(backend.deliveries())
    assert 0.9 * allowed - 50 <= passed <= 1.02 * allowed, f"{passed} of {allowed:.0f}"
    assert of_service(node, "rate_limited_requests_total") > 500
