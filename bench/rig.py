"""The test rig: a private corner of the machine, the proxies and the backend in it, and what they cost.

`isolate` runs the calling script again in network, mount, process and IPC namespaces of its own with an empty work
directory: ports cannot collide, and processes, mounts and files are gone when the script ends, however it ends.
"""
import os
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
PROXY_CPU, LOAD_CPU = {CPUS[0]}, {CPUS[min(1, len(CPUS) - 1)]}     # backend and load generator share the second one
BACKEND = 19000

# name: (command, {listener: port}). Another proxy to measure is one line here and a file in peers/.
PROXIES = {
    'floor_l7': ('{W}/floor_l7 18301 19000', {'http': 18301}),
    'floor_epoll': ('{W}/floor_epoll 18302 19000', {'tcp': 18302}),
    'holdfast': ('{holdfast} run {W}/holdfast.conf --state {W}/state', {'http': 18401, 'tcp': 18402}),
    'nginx': ('nginx -c {W}/nginx.conf', {'http': 18201, 'tcp': 18202}),
    'haproxy': ('haproxy -f {W}/haproxy.cfg -db', {'http': 18101, 'tcp': 18102}),
}


def isolate(*tools):
    """Returns the work directory, inside the namespaces; outside it never returns."""
    os.environ['PATH'] += ':/usr/sbin:/sbin'
    if missing := [t for t in tools if not shutil.which(t)]:
        sys.exit(f'missing: {", ".join(missing)}; make bench installs them')
    if os.environ.get('BENCH_WORK'):
        setup = 'mount -t proc proc /proc && mount -t tmpfs tmpfs /dev/shm && ip link set lo up'
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
    """Compiles the floors and writes what the peers and the backend need."""
    for name in os.listdir(f'{HERE}/peers'):
        with open(f'{HERE}/peers/{name}') as source, open(f'{work}/{name}', 'w') as copy:
            copy.write(source.read().replace('@W@', work))
    for name in ('floor_epoll', 'floor_l7'):
        subprocess.run(['gcc', '-O2', '-o', f'{work}/{name}', f'{HERE}/{name}.c'], check=True)
    os.mkdir(f'{work}/www')
    for name, size in (('128', 128), ('16k', 16384)):
        with open(f'{work}/www/{name}', 'w') as f:
            f.write('a' * size)


# ---- processes

def start(command, port, cpus, work):
    """Starts a server on these CPUs and waits until it answers on its port."""
    errors = f'{work}/start.err'
    with open(errors, 'w') as err:
        process = subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, cpus),
                                   stdin=subprocess.DEVNULL, stdout=err, stderr=err)
    end = time.monotonic() + 10
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
        time.sleep(0.05)


def start_backend(work):
    return start(['nginx', '-c', f'{work}/backend.conf'], BACKEND, LOAD_CPU, work)


def start_proxy(name, listener, work):
    command, ports = PROXIES[name]
    holdfast = os.environ.get('HOLDFAST', f'{TOP}/build/holdfast')
    words = [word.format(W=work, holdfast=holdfast) for word in command.split()]
    return start(words, ports[listener], PROXY_CPU, work)


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


# ---- cost

def cpu_seconds(pids):
    """Run time of all threads by the scheduler's own clock: precise, blind to the tick."""
    total = 0
    for pid in pids:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/schedstat') as f:
                total += int(f.read().split()[0])
    return total / 1e9


def user_share(pids):
    """(user, system) seconds by the tick: for the split, not for the sum."""
    fields = []
    for pid in pids:
        with open(f'/proc/{pid}/stat') as f:
            fields.append(f.read().rsplit(')', 1)[1].split())
    return [sum(int(x[i]) for x in fields) / os.sysconf('SC_CLK_TCK') for i in (11, 12)]


def machine_busy():
    """CPU seconds that all processors have spent on anything."""
    with open('/proc/stat') as f:
        x = [int(n) for n in f.readline().split()[1:9]]
    return (x[0] + x[1] + x[2] + x[5] + x[6] + x[7]) / os.sysconf('SC_CLK_TCK')
