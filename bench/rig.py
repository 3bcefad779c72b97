"""The test rig: a private corner of the machine, the proxies and the backend in it, and what they cost.

`isolate` runs the calling script again in network, mount, process and IPC namespaces of its own with an empty work
directory: ports cannot collide, and processes, mounts and files are gone when the script ends, however it ends.

Every configuration comes in three variants, a folder each in the work directory: `one` worker, `two` workers, and
`other`, one worker on other ports (1xxxx becomes 2xxxx), so that two systems can run that share nothing.
"""
import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
CPUS = sorted(os.sched_getaffinity(0))
FIRST, SECOND = {CPUS[0]}, {CPUS[min(1, len(CPUS) - 1)]}
PROXY_CPU, LOAD_CPU = FIRST, SECOND     # backend and load generator share the second one
BACKEND = 19000
OTHER = 10000           # added to the ports of the variant `other`
VARIANTS = {'one': 1, 'two': 2, 'other': 1}
TOOLS = ('floor_epoll', 'floor_l7', 'floor_splice', 'openloop', 'storm', 'download')
GIB = 1 << 30

# name: (command, {listener: port}). Another proxy to measure is one line here and a file in peers/.
PROXIES = {
    'floor_l7': ('{W}/floor_l7 18301 19000', {'http': 18301}),
    'floor_epoll': ('{W}/floor_epoll 18302 19000', {'tcp': 18302, 'bulk': 18302}),
    'floor_splice': ('{W}/floor_splice 18303 19000', {'bulk': 18303}),
    'holdfast': ('{holdfast} run {V}/holdfast.conf --state {V}/state', {'http': 18401, 'tcp': 18402, 'bulk': 18402}),
    'nginx': ('nginx -c {V}/nginx.conf', {'http': 18201, 'tcp': 18202, 'bulk': 18202}),
    'haproxy': ('haproxy -f {V}/haproxy.cfg -db', {'http': 18101, 'tcp': 18102, 'bulk': 18102}),
    'haproxy-splice': ('haproxy -f {V}/haproxy.cfg -db', {'bulk': 18103}),
}
REAL = ('holdfast', 'nginx', 'haproxy')     # what a user can pick


def isolate(*tools):
    """Returns the work directory, inside the namespaces; outside it never returns."""
    os.environ['PATH'] += ':/usr/sbin:/sbin'
    if missing := [t for t in tools if not shutil.which(t)]:
        sys.exit(f'missing: {", ".join(missing)}; make bench installs them')
    if os.environ.get('BENCH_WORK'):
        # The machine's own /proc stays visible: kernel threads that work for a proxy are seen only there.
        setup = ('mount -t tmpfs tmpfs /dev/shm && mkdir /dev/shm/machine && '
                 '{ mount --bind /proc /dev/shm/machine || true; } && mount -t proc proc /proc && ip link set lo up')
        subprocess.run(['sh', '-c', setup], check=True)
        return os.environ['BENCH_WORK']
    work = tempfile.mkdtemp(prefix='holdfast-bench.')
    os.chmod(work, 0o755)
    as_root = [] if os.geteuid() == 0 else ['--map-root-user']
    inner = subprocess.Popen(['unshare', *as_root, '--net', '--mount', '--ipc', '--pid', '--fork', '--kill-child',
                              sys.executable, '-B', *sys.argv], env={**os.environ, 'BENCH_WORK': work})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: inner.kill())
    status = inner.wait()
    shutil.rmtree(work, ignore_errors=True)
    sys.exit(status)


def prepare(work):
    """Compiles the floors and the load generators, and writes what the peers and the backend need."""
    for name in TOOLS:
        subprocess.run(['gcc', '-O2', '-g', '-o', f'{work}/{name}', f'{HERE}/{name}.c'], check=True)
    os.mkdir(f'{work}/www')
    for name, size in (('128', 128), ('16k', 16384)):
        with open(f'{work}/www/{name}', 'w') as f:
            f.write('a' * size)
    with open(f'{work}/www/1g', 'w') as f:
        f.truncate(GIB)
    for variant, workers in VARIANTS.items():
        os.mkdir(f'{work}/{variant}')
        os.symlink('../www', f'{work}/{variant}/www')
        for name in os.listdir(f'{HERE}/peers'):
            with open(f'{HERE}/peers/{name}') as source, open(f'{work}/{variant}/{name}', 'w') as copy:
                copy.write(configuration(source.read(), f'{work}/{variant}', variant, workers))


def configuration(text, folder, variant, workers):
    masks = ' '.join(f'{1 << cpu:b}' for cpu in sorted(FIRST | SECOND))
    affinity = f'worker_cpu_affinity {masks};' if workers == 2 and len(CPUS) > 1 else ''
    for name, value in (('W', folder), ('N', str(workers)), ('AFFINITY', affinity)):
        text = text.replace(f'@{name}@', value)
    return re.sub(r'(127\.0\.0\.1:)1(8|9)', r'\g<1>2\2', text) if variant == 'other' else text


# ---- processes

def pinned(cpus):
    return lambda: os.sched_setaffinity(0, cpus)


def start(command, port, cpus, work):
    """Starts a server on these CPUs and waits until it answers on its port."""
    errors = f'{work}/start.err'
    with open(errors, 'w') as err:
        process = subprocess.Popen(command, preexec_fn=pinned(cpus), stdin=subprocess.DEVNULL, stdout=err, stderr=err)
    end = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(('127.0.0.1', port), 1) as s:
                s.sendall(b'GET /128 HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n')
                if s.recv(12).endswith(b'200'):
                    return process
        except OSError:
            pass
        if process.poll() is not None or time.monotonic() > end:
            with open(errors) as f:
                sys.exit(f'does not serve: {" ".join(command)}\n{f.read()[-2000:]}')
        time.sleep(0.01)


def start_backend(work, variant='one', cpus=LOAD_CPU):
    port = BACKEND + OTHER * (variant == 'other')
    return start(['nginx', '-c', f'{work}/{variant}/backend.conf'], port, cpus, work)


def port_of(name, listener, variant='one'):
    return PROXIES[name][1][listener] + OTHER * (variant == 'other')


def start_proxy(name, listener, work, variant='one', cpus=PROXY_CPU, under=()):
    """`under`: the words of a tool that runs it."""
    holdfast = os.environ.get('HOLDFAST', f'{TOP}/build/holdfast')
    words = [word.format(W=work, V=f'{work}/{variant}', holdfast=holdfast) for word in PROXIES[name][0].split()]
    return start([*under, *words], port_of(name, listener, variant), cpus, work)


@contextlib.contextmanager
def stack(name, listener, work, variant='one', proxy_cpus=PROXY_CPU, backend_cpus=LOAD_CPU, under=()):
    """A backend and a proxy before it, fresh; gone afterwards."""
    backend = start_backend(work, variant, backend_cpus)
    proxy = None
    try:
        proxy = start_proxy(name, listener, work, variant, proxy_cpus, under)
        yield proxy, backend
    finally:
        for process in (proxy, backend):
            if process:
                stop(process)


def stop(process):
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        for pid in reversed(tree(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait()


def tree(pid):
    """pid and all its descendants, parents first."""
    pids = [pid]
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children') as f:
                for child in f.read().split():
                    pids += tree(int(child))
    except OSError:
        pass
    return pids


def tasks(pids):
    """The threads of these processes."""
    return [f'/proc/{pid}/task/{task}' for pid in pids for task in os.listdir(f'/proc/{pid}/task')]


# ---- cost

def cpu_seconds(pids):
    """Run time of all threads by the scheduler's own clock: precise, blind to the tick."""
    total = 0
    for task in tasks(pids):
        with open(f'{task}/schedstat') as f:
            total += int(f.read().split()[0])
    return total / 1e9


def user_share(pids):
    """(user, system) seconds by the tick: for the split, not for the sum."""
    fields = []
    for pid in pids:
        with open(f'/proc/{pid}/stat') as f:
            fields.append(f.read().rsplit(')', 1)[1].split())
    return [sum(int(x[i]) for x in fields) / os.sysconf('SC_CLK_TCK') for i in (11, 12)]


def kernel_threads(machine='/dev/shm/machine'):
    """{process id: seconds} of the machine's kernel threads: softirqs and work queues run there for whoever caused it."""
    seconds = {}
    for pid in filter(str.isdigit, os.listdir(machine)):
        try:
            with open(f'{machine}/{pid}/stat') as f:
                if not int(f.read().rsplit(')', 1)[1].split()[6]) & 0x200000:
                    continue
            with open(f'{machine}/{pid}/schedstat') as f:
                seconds[pid] = int(f.read().split()[0]) / 1e9
        except OSError:
            pass        # it has ended
    return seconds


def machine_busy():
    """CPU seconds that all processors have spent on anything, or were withheld by the hypervisor."""
    with open('/proc/stat') as f:
        x = [int(n) for n in f.readline().split()[1:9]]
    return (x[0] + x[1] + x[2] + x[5] + x[6] + x[7]) / os.sysconf('SC_CLK_TCK')


def children_cpu():
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


class Meter:
    """What was spent between its start and `stop`: by the proxy, the backend, the load, the kernel's threads, others."""

    def __init__(self, proxies, backends):
        self.front = [pid for p in proxies for pid in tree(p.pid)]
        self.back = [pid for p in backends for pid in tree(p.pid)]
        self.before = self.snapshot()

    def snapshot(self):
        return (cpu_seconds(self.front), *user_share(self.front), cpu_seconds(self.back), children_cpu(), kernel_threads(),
                machine_busy(), time.monotonic())

    def stop(self):
        after = self.snapshot()
        old, new = self.before[5], after[5]
        kernel = sum(seconds - old.get(pid, 0) for pid, seconds in new.items())
        cpu, user, system, backend, client, _, busy, wall = (
            0 if isinstance(b, dict) else b - a for a, b in zip(self.before, after))
        whole = cpu + backend + client + kernel
        return {'cpu': cpu, 'user': cpu * user / max(user + system, 1e-9), 'backend': backend, 'client': client,
                'kernel': kernel, 'whole': whole, 'wall': wall, 'foreign': 100 * (busy - whole) / wall}


def memory(pids):
    """Bytes of these processes that no other process shares, written ones (private, dirty), and the proportional set."""
    total = {'Private_Dirty': 0, 'Pss': 0}
    for pid in pids:
        with open(f'/proc/{pid}/smaps_rollup') as f:
            for line in f:
                name, _, rest = line.partition(':')
                if name in total:
                    total[name] += int(rest.split()[0]) * 1024
    return total


def descriptors(pids):
    return sum(len(os.listdir(f'/proc/{pid}/fd')) for pid in pids)
