#!/usr/bin/env python3
"""corpus.py FOLDER [PROGRAM...]: logs of real programs, made by running them here and letting much go wrong.

Writes FOLDER/PROGRAM.log; for a program whose events are known as it writes them, FOLDER/PROGRAM.labels too, one a line. Each
program is driven with varied work, refused requests, faults and crashes, on loopback and in FOLDER, and ends with this script.
What is not installed is left out, and said. FOLDER/mixed.log has the lines of all, in runs of a few, as one process would read
them from many files.

As root: some programs will not run as root and get another user; systemd boots in namespaces of its own (debian_root.sh).
"""
import contextlib
import http.client
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
RANDOM = random.Random(8)
WORDS = 'alpha bravo carol delta echo foxtrot golf hotel india juliet kilo lima mike november oscar papa quebec romeo'.split()


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def until(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if condition():
                return
        time.sleep(0.02)
    print(f'  {what}: not within {seconds} s', flush=True)


def accepts(port):
    with socket.create_connection(('127.0.0.1', port), 1):
        return True


def quiet(*command, seconds=30, **more):
    with contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=seconds, check=False, **more)


class Started:
    """Processes of one program, ended with it."""

    def __init__(self, folder, name):
        self.folder = os.path.join(folder, name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.log = os.path.join(folder, name + '.log')
        self.processes, self.sides = [], []
        open(self.log, 'w').close()

    def start(self, *command, **more):
        out = open(self.log, 'ab')
        more = {'stdin': subprocess.DEVNULL, 'stdout': out, 'stderr': out, 'cwd': self.folder, **more}
        p = subprocess.Popen([str(c) for c in command], **more)
        out.close()
        self.processes.append(p)
        return p

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text)
        return self.path(name)

    def beside(self, name):
        """Another log, that ends with this one."""
        self.sides.append(Started(os.path.dirname(self.folder), name))
        return self.sides[-1]

    def end(self):
        for side in self.sides:
            side.end()
        for p in self.processes:
            p.terminate()
        for p in self.processes:
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


def end(p, how=signal.SIGTERM):
    p.send_signal(how)
    with contextlib.suppress(subprocess.TimeoutExpired):
        p.wait(10)


# A file system of 2 MB at a folder, for one program.
SMALL = ['unshare', '--mount', 'sh', '-c', 'mount -t tmpfs -o size=2m,mode=777 tmpfs "$0" && exec "$@"']


# ---- redis ----

def redis(s):
    """Two servers and a sentinel, saves that fail, clients over every bound, a crash."""
    a, b, guard = free_port(), free_port(), free_port()
    common = ['--bind', '127.0.0.1', '--enable-debug-command', 'yes', '--enable-protected-configs', 'yes', '--dir', s.folder]
    cli = lambda port, *words: quiet('redis-cli', '-p', port, *words, seconds=5)

    def server(port, level, *more):
        p = s.start('redis-server', '--port', port, '--loglevel', level, '--dbfilename', f'{port}.rdb', '--appenddirname',
                    f'aof-{port}', *common, *more)
        until(lambda: accepts(port), 10, 'redis')
        return p

    first = server(a, 'verbose')
    second = server(b, 'debug', '--replicaof', f'127.0.0.1 {a}', '--repl-ping-replica-period', '1', '--repl-timeout', '2')
    quiet('redis-benchmark', '-p', a, '-n', 3000, '-c', 20, '-t', 'set,get,lpush', '-q')
    for round_ in range(6):
        cli(a, 'BGSAVE')
        cli(a, 'CONFIG', 'SET', 'appendonly', 'yes' if round_ % 2 == 0 else 'no')
        cli(a, 'BGREWRITEAOF')
        cli(a, 'CONFIG', 'SET', 'maxmemory', RANDOM.randrange(1, 9) * 1000000)
        cli(a, 'SLOWLOG', 'RESET')
        cli(b, 'REPLICAOF', 'NO', 'ONE')
        cli(b, 'REPLICAOF', '127.0.0.1', a)
        cli(a, 'CLIENT', 'KILL', 'TYPE', 'replica')
        cli(a, 'DEBUG', 'SLEEP', '0.3')
        cli(a, 'FLUSHALL')
        cli(a, 'SCRIPT', 'FLUSH')
        cli(a, 'SAVE')
        cli(a, 'DEBUG', 'RELOAD')
        cli(a, 'DEBUG', 'LOG', RANDOM.choice(WORDS))
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', a)) as c:
            c.sendall(b'POST / HTTP/1.1\r\nHost: x\r\n\r\n')
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', a)) as c:
            c.sendall(b'*1\r\n$99999999999\r\n')
            c.recv(100)
    cli(a, 'CONFIG', 'SET', 'client-output-buffer-limit', 'normal 100000 100000 1')
    cli(a, 'SET', 'big', 'x' * 100000)
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', a)) as c:
        c.sendall(b'GET big\r\n' * 2000)
        time.sleep(0.5)
    gone = s.path('gone')
    os.mkdir(gone)
    cli(a, 'CONFIG', 'SET', 'dir', gone)
    os.rmdir(gone)
    for _ in range(4):
        cli(a, 'SAVE')
        cli(a, 'BGSAVE')
        time.sleep(0.3)
    for p in (first, second):
        p.send_signal(signal.SIGSTOP)
        time.sleep(4)
        p.send_signal(signal.SIGCONT)
        time.sleep(2)
    cli(a, 'CONFIG', 'SET', 'maxclients', 5)
    for _ in range(3):
        many = []
        for _ in range(12):
            with contextlib.suppress(OSError):
                many.append(socket.create_connection(('127.0.0.1', a)))
        for c in many:
            c.close()
    s.write('sentinel.conf', f'port {guard}\nbind 127.0.0.1\nsentinel monitor cache 127.0.0.1 {a} 1\n'
            'sentinel down-after-milliseconds cache 600\nsentinel failover-timeout cache 1000\n')
    s.start('redis-server', s.path('sentinel.conf'), '--sentinel')
    until(lambda: accepts(guard), 10, 'sentinel')
    time.sleep(1.5)
    cli(a, 'DEBUG', 'SEGFAULT')
    end(first)
    time.sleep(4)
    first = server(a, 'verbose')
    time.sleep(2)
    end(second)
    s.write(f'{b}.rdb', 'this is no such file at all')
    s.start('redis-server', '--port', b, '--dbfilename', f'{b}.rdb', *common).wait(10)
    s.start('redis-server', '--port', a, *common).wait(10)
    c = free_port()
    for fault in ('ASSERT', 'PANIC', 'OOM'):
        p = s.start('redis-server', '--port', c, '--save', '', *common)
        until(lambda: accepts(c), 10, 'redis')
        cli(c, 'DEBUG', fault)
        p.wait(20)
    os.mkdir(s.path('small'))
    p = s.start(*SMALL, s.path('small'), 'redis-server', '--port', c, *common[:-2], '--dir', s.path('small'))
    until(lambda: accepts(c), 10, 'redis')
    cli(c, 'DEBUG', 'POPULATE', 200000)
    cli(c, 'SAVE')
    cli(c, 'BGSAVE')
    cli(c, 'CONFIG', 'SET', 'appendonly', 'yes')
    time.sleep(3)
    end(p)
    s.start('redis-server', '--port', 'nothing').wait(10)
    s.start('redis-server', '--no-such-setting', 'x').wait(10)
    end(first, signal.SIGINT)


# ---- PostgreSQL ----

BIN = '/usr/lib/postgresql/15/bin/'

ERRORS = [
    'SELECT * FROM {w}_missing', 'SELECT {w} FROM account', 'SELEC {n}', 'SELECT {n} / 0', "SELECT '{w}'::int", 'SELECT {w}({n})',
    'INSERT INTO account VALUES (1, 1)', 'INSERT INTO account VALUES (NULL, {n})', 'INSERT INTO entry VALUES ({n}999, 1)',
    'CREATE TABLE account (id int)', 'DROP TABLE {w}', 'ALTER TABLE account ADD COLUMN id int', "SELECT to_date('{w}', 'YYYY')",
    "SET statement_timeout = '20ms'; SELECT pg_sleep(5)", "SET lock_timeout = '10ms'; SELECT pg_advisory_lock(1)", 'ROLLBACK', 'COMMIT',
    "SELECT '{w}'::uuid", "SELECT 'x'::json", 'SELECT 99999999999::int', "SELECT ('{{1,2}}'::int[])['{w}']", 'SET {w} = 1', 'GRANT ALL ON {w} TO {w}',
    'VACUUM account', 'ANALYZE account', "DO $$ BEGIN RAISE WARNING 'low on {w}'; END $$", "DO $$ BEGIN RAISE EXCEPTION 'no {w} left'; END $$",
    'LOCK TABLE account', "COPY account FROM '/no/such/{w}'", 'SELECT 1; SELECT {w}', 'BEGIN; SELECT {w}; COMMIT', 'CREATE ROLE {w}', 'CREATE ROLE postgres',
    'CREATE DATABASE postgres', 'DROP DATABASE {w}', "SET client_encoding = '{w}'", "SELECT repeat('x', {n}) FROM generate_series(1, 3)",
    "SELECT lo_import('/no/{w}')", 'CREATE INDEX ON account (nothing)', 'CREATE VIEW v{n} AS SELECT 1; DROP VIEW v{n}', 'CHECKPOINT', 'SHOW {w}',
    'TRUNCATE {w}', "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT chr(0)", "SELECT sqrt(-{n})", "SELECT ln(0)",
]


def postgres(s):
    """Everything logged; wrong statements of many kinds, deadlocks, refused logins, a crash and its recovery."""
    port = free_port()
    os.chmod(s.folder, 0o777)
    os.makedirs(s.path('data'))
    shutil.chown(s.path('data'), 'postgres', 'postgres')
    user = ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--']
    quiet(*user, BIN + 'initdb', '-D', s.path('data'), '-A', 'trust', '--no-sync', '--data-checksums', seconds=120)
    with open(s.path('data', 'pg_hba.conf'), 'w') as f:
        f.write('local all locked reject\nlocal all asked scram-sha-256\nlocal all all trust\nhost all all 127.0.0.1/32 trust\nlocal replication all trust\n')
    settings = {'port': port, 'unix_socket_directories': s.folder, 'log_statement': 'all', 'log_connections': 'on', 'log_disconnections': 'on',
                'log_checkpoints': 'on', 'log_lock_waits': 'on', 'deadlock_timeout': '100ms', 'log_temp_files': 0, 'work_mem': '64kB',
                'log_autovacuum_min_duration': 0, 'autovacuum_naptime': '1s', 'log_duration': 'on', 'max_connections': 20, 'max_locks_per_transaction': 10, 'fsync': 'off',
                'log_replication_commands': 'on', 'log_line_prefix': '%m [%p] %q%u@%d ', 'max_wal_size': '32MB', 'idle_in_transaction_session_timeout': '2s'}
    words = [w for k, v in settings.items() for w in ('-c', f'{k}={v}')]

    os.mkdir(s.path('small'), 0o777)

    def server():
        p = s.start(*SMALL, s.path('small'), *user, BIN + 'postgres', '-D', s.path('data'), *words)
        until(lambda: quiet(BIN + 'pg_isready', '-h', s.folder, '-p', port).returncode == 0, 60, 'postgres')
        return p

    def sql(*statements, name='postgres', base='postgres', seconds=20):
        commands = [w for t in statements for w in ('-c', t)]
        return quiet('psql', '-X', '-w', '-h', s.folder, '-p', port, '-U', name, '-d', base, *commands, seconds=seconds)

    p = server()
    sql('CREATE TABLE account (id int PRIMARY KEY, n int)', 'CREATE TABLE entry (id int REFERENCES account (id), n int)', 'CREATE ROLE locked LOGIN',
        "CREATE ROLE asked LOGIN PASSWORD 'x'", 'CREATE ROLE poor LOGIN', 'INSERT INTO account SELECT i, i FROM generate_series(1, 20000) i')
    holder = s.start('psql', '-X', '-h', s.folder, '-p', port, '-U', 'postgres', '-c', 'SELECT pg_advisory_lock(1), pg_sleep(20)', stdout=subprocess.DEVNULL)
    for _ in range(12):
        batch = [t.format(w=RANDOM.choice(WORDS), n=RANDOM.randrange(2, 5000)) for t in ERRORS]
        RANDOM.shuffle(batch)
        for i in range(0, len(batch), 8):
            sql(*batch[i:i + 8])
        sql('SELECT * FROM account', name='poor')
        sql('SELECT 1', name='locked')
        sql('SELECT 1', name='asked')
        sql('SELECT 1', name=RANDOM.choice(WORDS))
        sql('SELECT 1', base=RANDOM.choice(WORDS))
        sql('SELECT a.n, b.n FROM account a, account b WHERE a.id < 30 ORDER BY b.n, a.n LIMIT 5', 'UPDATE account SET n = n + 1')
        with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port)) as c:
            c.sendall(b'GET / HTTP/1.1\r\n\r\n')
    end(holder)
    for _ in range(3):
        one = s.start('psql', '-X', '-h', s.folder, '-p', port, '-U', 'postgres', '-c',
                      'BEGIN; UPDATE account SET n = 1 WHERE id = 1; SELECT pg_sleep(0.4); UPDATE account SET n = 1 WHERE id = 2; COMMIT', stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        sql('BEGIN; UPDATE account SET n = 1 WHERE id = 2; SELECT pg_sleep(0.4); UPDATE account SET n = 1 WHERE id = 1; COMMIT')
        one.wait()
    many = [s.start('psql', '-X', '-h', s.folder, '-p', port, '-U', 'poor', '-d', 'postgres', '-c', 'SELECT pg_sleep(4)', stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(30)]
    for m in many:
        m.wait()
    quiet(BIN + 'pgbench', '-i', '-h', s.folder, '-p', port, '-U', 'postgres', 'postgres', seconds=120)
    quiet(BIN + 'pgbench', '-h', s.folder, '-p', port, '-U', 'postgres', '-c', 4, '-T', 12, '-n', 'postgres', seconds=60)
    quiet(BIN + 'pg_basebackup', '-h', s.folder, '-p', port, '-U', 'postgres', '-D', s.path('copy'), seconds=60)
    quiet(BIN + 'pg_ctl', 'reload', '-D', s.path('data'), seconds=20)
    for kind in (signal.SIGKILL, signal.SIGSEGV):
        victim = s.start('psql', '-X', '-h', s.folder, '-p', port, '-U', 'postgres', '-c', 'SELECT pg_sleep(10)', stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = ''

        def found():
            nonlocal pid
            pid = subprocess.run(['psql', '-XAtw', '-h', s.folder, '-p', str(port), '-U', 'postgres', '-c',
                                  "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(10)'"], capture_output=True, text=True).stdout.strip()
            return pid
        until(found, 5, 'a backend')
        if pid:
            os.kill(int(pid), kind)
        victim.wait()
        until(lambda: quiet(BIN + 'pg_isready', '-h', s.folder, '-p', port).returncode == 0, 60, 'postgres')
    sql("DO $$ BEGIN FOR i IN 1..5000 LOOP EXECUTE 'CREATE TABLE many' || i || ' ()'; END LOOP; END $$")
    quiet('nsenter', '--target', p.pid, '--mount', 'sh', '-c', f'mkdir {s.folder}/small/t; chown postgres {s.folder}/small/t')
    sql(f"CREATE TABLESPACE small LOCATION '{s.folder}/small/t'", 'CREATE TABLE filled (t text) TABLESPACE small',
        "INSERT INTO filled SELECT repeat('x', 1000) FROM generate_series(1, 5000)", 'DROP TABLE filled', 'DROP TABLESPACE small')
    where = subprocess.run(['psql', '-XAtw', '-h', s.folder, '-p', str(port), '-U', 'postgres', '-c', "SELECT pg_relation_filepath('account')"],
                           capture_output=True, text=True, check=False).stdout.strip()
    end(p, signal.SIGQUIT)
    p = server()
    s.start(*user, BIN + 'postgres', '-D', s.path('data'), *words).wait(20)
    end(p, signal.SIGINT)
    if where:
        with open(s.path('data', where), 'r+b') as f:
            f.seek(8192 * 3 + 100)
            f.write(b'nonsense' * 20)
    p = server()
    sql('SELECT sum(n) FROM account', 'SELECT count(*) FROM account')
    if where:
        os.rename(s.path('data', where), s.path('away'))
    end(p, signal.SIGINT)
    p = server()
    sql('SELECT sum(n) FROM account')
    end(p, signal.SIGQUIT)
    shutil.move(s.path('data', 'pg_wal'), s.path('wal'))
    os.makedirs(s.path('data', 'pg_wal', 'archive_status'))
    quiet('chown', '-R', 'postgres:postgres', s.path('data', 'pg_wal'))
    s.start(*user, BIN + 'postgres', '-D', s.path('data'), *words).wait(20)
    os.rename(s.path('data', 'global', 'pg_control'), s.path('data', 'global', 'away'))
    s.start(*user, BIN + 'postgres', '-D', s.path('data'), *words).wait(20)


# ---- nginx and haproxy, before Python's own server ----

def python_server(s, port, name):
    code = ('import http.server, sys, random, time\n'
            'class H(http.server.BaseHTTPRequestHandler):\n'
            ' def do_GET(self):\n'
            '  if "slow" in self.path: time.sleep(1.5)\n'
            '  if "crash" in self.path: raise ValueError("no such thing: " + self.path)\n'
            '  if "cut" in self.path: self.connection.close(); return\n'
            '  if "junk" in self.path: self.wfile.write(b"junk\\r\\n\\r\\n"); return\n'
            '  if "missing" in self.path: self.send_error(404, "File not found"); return\n'
            '  self.send_response(500 if "bad" in self.path else 200); self.send_header("Content-Length", "2"); self.end_headers()\n'
            '  self.wfile.write(b"ok")\n'
            f'http.server.ThreadingHTTPServer(("127.0.0.1", {port}), H).serve_forever()\n')
    p = s.start(sys.executable, s.write(f'server-{name}.py', code))
    until(lambda: accepts(port), 10, 'python server')
    return p


def ask(port, count):
    for _ in range(count):
        what = RANDOM.choice(['slow', 'crash', 'cut', 'junk', 'missing', 'bad'] + ['page'] * 6)
        with contextlib.suppress(OSError, http.client.HTTPException):
            request = urllib.request.Request(f'http://127.0.0.1:{port}/{what}/{RANDOM.choice(WORDS)}?n={RANDOM.randrange(999)}',
                                             headers={'User-Agent': RANDOM.choice(['curl/7.88', 'Mozilla/5.0 (X11; Linux)', 'probe'])})
            urllib.request.urlopen(request, timeout=3).read()


def raw(port, data):
    with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', port), 2) as c:
        c.sendall(data)
        c.settimeout(1)
        c.recv(1000)


def nginx(s):
    port, up, dead = free_port(), free_port(), free_port()
    python = s.beside('python-http')
    server = python_server(python, up, 'n')
    os.chmod(s.folder, 0o777)
    for name in ('root', 'logs', 'temp'):
        os.makedirs(s.path(name), exist_ok=True)
    s.write('root/secret', 'x')
    os.chmod(s.path('root/secret'), 0)
    conf = f'''
daemon off; user www-data; error_log {s.log} info; pid {s.path('pid')}; worker_processes 2; worker_rlimit_nofile 40;
events {{ worker_connections 64; }}
http {{
  access_log {s.log}; client_body_temp_path {s.path('temp')}; client_max_body_size 1k; proxy_read_timeout 1s; proxy_connect_timeout 1s;
  client_header_timeout 1s; keepalive_timeout 1s; large_client_header_buffers 2 1k;
  limit_req_zone $binary_remote_addr zone=few:1m rate=20r/s; limit_conn_zone $binary_remote_addr zone=little:1m;
  upstream two {{ server 127.0.0.1:{up} max_fails=3 fail_timeout=1s; server 127.0.0.1:{dead} max_fails=3 fail_timeout=1s; }}
  server {{ listen 127.0.0.1:{port}; root {s.path('root')};
    location /page {{ proxy_pass http://two; }} location /slow {{ proxy_pass http://two; }} location /crash {{ proxy_pass http://two; }}
    location /cut {{ proxy_pass http://two; }} location /junk {{ proxy_pass http://two; }} location /bad {{ proxy_pass http://two; }}
    location /few {{ limit_req zone=few; return 200 "ok"; }} location /dead {{ proxy_pass http://127.0.0.1:{dead}; }}
    location /fill {{ client_max_body_size 50m; client_body_buffer_size 8k; proxy_pass http://two; }} location /loop {{ rewrite ^ /loop2; }} location /loop2 {{ rewrite ^ /loop; }} location /dir {{ autoindex off; }}
    location /quick {{ return 200 "ok"; }} location /locked {{ deny all; }} location /one {{ limit_conn little 1; proxy_pass http://two/slow; }}
    location /user {{ auth_basic "x"; auth_basic_user_file {s.path('users')}; }} }}
}}
'''
    conf = s.write('nginx.conf', conf)
    s.write('users', 'a:{PLAIN}b\n')
    p = s.start(*SMALL, s.path('temp'), 'nginx', '-c', conf, '-p', s.folder)
    until(lambda: accepts(port), 10, 'nginx')
    ask(port, 250)
    for _ in range(15):
        for path in ('dead', 'loop', 'root', 'secret', 'dir', 'locked', 'few', 'nothing/' + RANDOM.choice(WORDS), 'user'):
            raw(port, f'GET /{path} HTTP/1.1\r\nHost: {RANDOM.choice(WORDS)}\r\nConnection: close\r\n\r\n'.encode())
        raw(port, b'GET /user HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpj\r\nConnection: close\r\n\r\n')
        raw(port, b'NONSENSE\r\n\r\n')
        raw(port, b'GET / HTTP/1.1\r\n\r\n')
        raw(port, b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n')
        raw(port, b'GET /' + b'x' * 3000 + b' HTTP/1.1\r\nHost: x\r\n\r\n')
        raw(port, b'GET / HTTP/1.1\r\nHost: x\r\nLong: ' + b'x' * 3000 + b'\r\n\r\n')
        raw(port, b'GET /../../etc HTTP/1.1\r\nHost: x\r\n\r\n')
        raw(port, b'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
        raw(port, b'POST /fill HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n' + b'x' * 4000000)
    quiet('wrk', '-c', 16, '-t', 1, '-d', '2s', f'http://127.0.0.1:{port}/few')
    quiet('wrk', '-c', 4, '-t', 1, '-d', '2s', f'http://127.0.0.1:{port}/one')
    quiet('wrk', '-c', 16, '-t', 1, '-d', '3s', f'http://127.0.0.1:{port}/quick')
    quiet('wrk', '-c', 200, '-t', 1, '-d', '1s', f'http://127.0.0.1:{port}/page')
    end(server)
    ask(port, 60)
    text = open(conf).read()
    s.write('nginx.conf', text.replace('worker_rlimit_nofile 40;', ''))
    p.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    quiet('wrk', '-c', 200, '-t', 1, '-d', '1s', f'http://127.0.0.1:{port}/page')
    p.send_signal(signal.SIGUSR1)
    children = open(f'/proc/{p.pid}/task/{p.pid}/children').read().split()
    for child, how in zip(children, (signal.SIGKILL, signal.SIGSEGV)):
        os.kill(int(child), how)
    time.sleep(0.5)
    s.write('wrong.conf', text.replace('autoindex off', 'autoindex maybe'))
    s.start('nginx', '-t', '-c', s.path('wrong.conf'), '-p', s.folder).wait(10)
    s.start('nginx', '-c', conf, '-p', s.folder).wait(20)
    end(p, signal.SIGQUIT)


def haproxy(s):
    port, up, dead, dark = free_port(), free_port(), free_port(), free_port()
    side = s.beside('python-http2')
    server = python_server(side, up, 'h')
    conf = s.write('haproxy.cfg', f'''
global
  log stdout format raw local0 debug
  maxconn 300
defaults
  mode http
  log global
  option httplog
  option log-health-checks
  timeout connect 300ms
  timeout client 2s
  timeout server 1s
  retries 1
frontend web
  bind 127.0.0.1:{port}
  use_backend none if {{ path_beg /none }}
  use_backend gone if {{ path_beg /gone }}
  http-request deny if {{ path_beg /locked }}
  default_backend two
backend two
  option httpchk GET /page
  server one 127.0.0.1:{up} check inter 200ms fall 2 rise 2
  server other 127.0.0.1:{dead} check inter 300ms
  server text 127.0.0.1:{dark} check inter 300ms
backend gone
  server lost 127.0.0.1:{dead} check inter 200ms
backend none
listen plain
  mode tcp
  option tcplog
  bind 127.0.0.1:{free_port()}
  server one 127.0.0.1:{up}
''')
    p = s.start('haproxy', '-db', '-f', conf)
    until(lambda: accepts(port), 10, 'haproxy')
    for _ in range(3):
        ask(port, 60)
        for path in ('none', 'gone', 'locked'):
            raw(port, f'GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
        raw(port, b'NONSENSE\r\n\r\n')
        end(server)
        ask(port, 10)
        time.sleep(1)
        server = python_server(side, up, 'h')
        time.sleep(1)
    quiet('wrk', '-c', 16, '-t', 1, '-d', '4s', f'http://127.0.0.1:{port}/locked')
    quiet('wrk', '-c', 8, '-t', 1, '-d', '4s', f'http://127.0.0.1:{port}/page')
    end(p, signal.SIGUSR1)
    s.write('wrong.cfg', 'defaults\n mode nonsense\nfrontend x\n bind :x\n')
    s.start('haproxy', '-f', s.path('wrong.cfg')).wait(10)


# ---- etcd ----

def etcd(s):
    ports = [(free_port(), free_port()) for _ in range(3)]
    cluster = ','.join(f'm{i}=http://127.0.0.1:{peer}' for i, (_, peer) in enumerate(ports))

    def member(i, state='new'):
        client, peer = ports[i]
        return s.start('etcd', '--name', f'm{i}', '--data-dir', s.path(f'm{i}'), '--logger', 'zap', '--log-outputs', 'stderr', '--heartbeat-interval', 50,
                       '--election-timeout', 250, '--snapshot-count', 500, '--listen-client-urls', f'http://127.0.0.1:{client}', '--advertise-client-urls',
                       f'http://127.0.0.1:{client}', '--listen-peer-urls', f'http://127.0.0.1:{peer}', '--initial-advertise-peer-urls',
                       f'http://127.0.0.1:{peer}', '--initial-cluster', cluster, '--initial-cluster-state', state, '--quota-backend-bytes', 3000000)

    members = [member(i) for i in range(3)]
    ends = ','.join(f'127.0.0.1:{c}' for c, _ in ports)
    ctl = lambda *w: quiet('etcdctl', '--endpoints', ends, *w, seconds=10, env={**os.environ, 'ETCDCTL_API': '3'})
    until(lambda: ctl('endpoint', 'health').returncode == 0, 30, 'etcd')
    for round_ in range(4):
        for _ in range(10):
            ctl('put', RANDOM.choice(WORDS), 'x' * RANDOM.randrange(120000))
            ctl('get', '', '--prefix')
        ctl('defrag')
        ctl('compact', str(round_ * 5 + 5))
        ctl('alarm', 'list')
        victim = round_ % 3
        end(members[victim], signal.SIGKILL if round_ % 2 else signal.SIGTERM)
        ctl('put', 'while', 'down')
        time.sleep(1)
        members[victim] = member(victim)
        time.sleep(1.5)
        os.kill(members[(victim + 1) % 3].pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(members[(victim + 1) % 3].pid, signal.SIGCONT)
        time.sleep(0.5)
        for c, peer in ports:
            raw(c, b'nonsense\r\n\r\n')
            raw(peer, b'GET /members HTTP/1.1\r\nHost: x\r\n\r\n')
    quiet('etcdctl', '--endpoints', ends, 'check', 'perf', seconds=20, env={**os.environ, 'ETCDCTL_API': '3'})
    ctl('snapshot', 'save', s.path('copy'))
    end(members[0])
    s.start('etcd', '--name', 'm0', '--data-dir', '/dev/null/x', '--logger', 'zap').wait(10)


# ---- holdfast ----

def holdfast(s):
    program = os.environ.get('HOLDFAST') or 'holdfast'
    ports, port = [free_port() for _ in range(3)], free_port()
    side = s.beside('python-http3')
    servers = [python_server(side, p, f'f{p}') for p in ports]
    conf = f'service web {{\n  listen = http://127.0.0.1:{port}\n' + ''.join(f'  backend 127.0.0.1:{p}\n' for p in ports) + \
        '  check { http = /page  every = 200ms }\n}\n'
    path = s.write('holdfast.conf', conf)
    p = s.start(program, 'run', path, '--state', s.path('state'), '--log', 'debug')
    until(lambda: accepts(port), 10, 'holdfast')
    for round_ in range(3):
        ask(port, 40)
        end(servers[round_], signal.SIGKILL)
        ask(port, 10)
        time.sleep(1)
        servers[round_] = python_server(side, ports[round_], f'f{ports[round_]}')
        time.sleep(1.5)
        s.write('holdfast.conf', conf.replace('200ms', f'{300 + round_}ms') if round_ != 1 else conf.replace('check', 'chekc'))
        p.send_signal(signal.SIGHUP)
        time.sleep(0.7)
        children = open(f'/proc/{p.pid}/task/{p.pid}/children').read().split()
        if children:
            os.kill(int(RANDOM.choice(children)), signal.SIGKILL)
        time.sleep(1)
    end(p)
    s.write('holdfast.conf', conf.replace('backend', 'bakcend'))
    s.start(program, 'run', path).wait(10)


# ---- dnsmasq ----

def dnsmasq(s):
    port = free_port()
    p = s.start('dnsmasq', '-k', '-C', '/dev/null', '-p', port, '--listen-address=127.0.0.1', '--bind-interfaces', '-q', '--log-facility=-', '--log-debug',
                '--server=127.0.0.1#9', '--address=/alpha.test/10.0.0.1', '--host-record=bravo.test,10.0.0.2', '--user=root', '--no-resolv', '--no-hosts')
    until(lambda: quiet('dig', '@127.0.0.1', '-p', port, 'alpha.test', '+time=1', '+tries=1').returncode == 0, 10, 'dnsmasq')
    for i in range(12):
        for kind in ('A', 'AAAA', 'TXT', 'PTR', 'SRV'):
            quiet('dig', '@127.0.0.1', '-p', port, RANDOM.choice(WORDS) + RANDOM.choice(['.test', '.example', '.localhost']), kind, '+time=1', '+tries=1', '+short', seconds=3)
        if i % 10 == 0:
            p.send_signal(RANDOM.choice([signal.SIGHUP, signal.SIGUSR1]))
    end(p)
    s.start('dnsmasq', '-k', '-C', '/dev/null', '--no-such').wait(10)
    s.start('dnsmasq', '-k', '-C', '/dev/null', '-p', port, '--listen-address=192.0.2.1', '--bind-interfaces', '--log-facility=-').wait(10)


# ---- a program in Python: its events are known as it writes them ----

EVENTS = [
    ('INFO', 'accepted connection from %s port %d', lambda: (address(), number())), ('INFO', 'user %s logged in', lambda: (word(),)),
    ('INFO', 'user %s logged out after %d seconds', lambda: (word(), number())), ('WARNING', 'login of user %s refused: %s', lambda: (word(), word())),
    ('ERROR', 'cannot open %s: %s', lambda: (path(), RANDOM.choice(['No such file or directory', 'Permission denied', 'Is a directory']))),
    ('INFO', 'order %d: %d items, %s', lambda: (number(), number(), word())), ('INFO', 'cache hit for %r', lambda: (word(),)),
    ('DEBUG', 'cache miss for %r, loading', lambda: (word(),)), ('ERROR', 'payment %s declined by %s', lambda: (identity(), word())),
    ('INFO', 'payment %s accepted', lambda: (identity(),)), ('WARNING', 'queue %s is %d %% full', lambda: (word(), number())),
    ('CRITICAL', 'out of memory while serving %s', lambda: (path(),)), ('INFO', 'starting', lambda: ()), ('INFO', 'stopping', lambda: ()),
    ('INFO', 'job %s started on %s', lambda: (word(), word())), ('INFO', 'job %s finished in %.3f s', lambda: (word(), number() / 7)),
    ('ERROR', 'job %s failed: %s', lambda: (word(), RANDOM.choice(['timeout', 'killed', 'no space left', 'lost the lock']))),
    ('DEBUG', 'tags: %s', lambda: (', '.join(RANDOM.sample(WORDS, RANDOM.randrange(1, 6))),)), ('DEBUG', 'values: %s', lambda: ([number() for _ in range(RANDOM.randrange(1, 8))],)),
    ('INFO', 'mail sent to %s', lambda: (word() + '@example.org',)), ('WARNING', 'mail to %s bounced', lambda: (word() + '@example.org',)),
    ('INFO', 'worker %d is idle', lambda: (number(),)), ('INFO', 'worker %d is busy', lambda: (number(),)), ('ERROR', 'worker %d is gone', lambda: (number(),)),
    ('INFO', 'replica %s is %d bytes behind', lambda: (word(), number())), ('INFO', 'replica %s caught up', lambda: (word(),)),
    ('WARNING', 'slow query (%d ms): %s', lambda: (number(), f'SELECT {word()} FROM {word()} WHERE id = {number()}')),
    ('INFO', '%s joined the room %s', lambda: (word(), word())), ('INFO', '%s left the room %s', lambda: (word(), word())),
    ('INFO', 'uploaded %s (%d bytes)', lambda: (path(), number())), ('ERROR', 'upload of %s failed after %d bytes', lambda: (path(), number())),
    ('DEBUG', 'token %s expires at %s', lambda: (identity(), time.strftime('%Y-%m-%dT%H:%M:%SZ'))), ('INFO', 'config reloaded from %s', lambda: (path(),)),
    ('INFO', 'metric %s=%f', lambda: (word(), number() / 3)), ('WARNING', 'clock is off by %d ms', lambda: (number(),)),
    ('INFO', 'state of %s: %s -> %s', lambda: (word(), RANDOM.choice(['up', 'down', 'unknown']), RANDOM.choice(['up', 'down', 'unknown']))),
    ('ERROR', 'unhandled exception in %s', lambda: (word(),)), ('INFO', 'lock %s acquired by %s', lambda: (word(), identity())), ('INFO', 'lock %s released', lambda: (word(),)),
    ('DEBUG', 'GET %s HTTP/1.1 -> %d in %d us', lambda: (path(), RANDOM.choice([200, 404, 500]), number())),
]


def number():
    return RANDOM.choice([RANDOM.randrange(10), RANDOM.randrange(100000)])


def word():
    return RANDOM.choice(WORDS)


def address():
    return RANDOM.choice([f'10.0.{RANDOM.randrange(255)}.{RANDOM.randrange(255)}', f'fe80::{RANDOM.randrange(65536):x}'])


def path():
    return '/' + '/'.join(RANDOM.sample(WORDS, RANDOM.randrange(1, 4))) + RANDOM.choice(['', '.log', '.txt'])


def identity():
    return '%08x-%04x' % (RANDOM.getrandbits(32), RANDOM.getrandbits(16))


def python_logging(s):
    """Python's logging as it is mostly set up; the label of a line is its format."""
    log = logging.getLogger('shop')
    handler = logging.FileHandler(s.log)
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(name)s.%(module)s: %(message)s'))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    weights = [RANDOM.paretovariate(0.7) for _ in EVENTS]
    with open(s.log.replace('.log', '.labels'), 'w') as labels:
        for level, format_, values in RANDOM.choices(EVENTS, weights, k=20000):
            log.log(getattr(logging, level), format_, *values())
            labels.write(format_ + '\n')
    handler.close()


# ---- what the machine has ----

KERNEL_FAULTS = r"""
cd "$1"
echo 'int main(void) { volatile int *p = 0; return *p; }' >s.c && cc -o segfaulter s.c && (./segfaulter)
group=/sys/fs/cgroup/memory/holdfast-corpus-$$
if mkdir $group; then
    echo 20000000 >$group/memory.limit_in_bytes
    sh -c "echo \$\$ >$group/cgroup.procs; exec perl -e 'my \$x = q(x) x 200000000; sleep 1'"
    rmdir $group
fi
truncate -s 40M image && mkfs.ext4 -q image && mkdir m
loop=$(losetup -f --show image) || exit
mount $loop m
dd if=/dev/urandom of=m/f bs=1M count=20 conv=fdatasync
dd of=m/f oflag=nocache conv=notrunc,fdatasync count=0
truncate -s 6M image
cat m/f >/dev/null
dd if=/dev/zero of=m/g bs=1M count=2 conv=fsync
umount m
losetup -d $loop
rm image; truncate -s 40M image && mkfs.ext4 -q image && debugfs -w -R 'mkdir d' image && debugfs -w -R 'clri d' image
loop=$(losetup -f --show image) && mount -o errors=remount-ro $loop m && { ls m/d; touch m/x; umount m; }
losetup -d $loop
rm image; truncate -s 40M image && mkfs.ext4 -q image
loop=$(losetup -f --show image) && mount $loop m && fsfreeze -f m || exit
touch m/waits & 
for i in $(seq 1000); do dmesg | tail -n 2000 | grep -q 'task touch:.*blocked for more' && break; sleep 0.25; done
fsfreeze -u m; wait; umount m; losetup -d $loop
"""


def kernel(s):
    """A crash, a group of processes out of memory, a disk that fails, a task that hangs; with what the kernel said before."""
    s.start('unshare', '--mount', 'sh', '-c', KERNEL_FAULTS, 'sh', s.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait()
    s.start('dmesg').wait(20)


def packages(s):
    with open(s.log, 'ab') as out, open('/var/log/dpkg.log', 'rb') as f:
        shutil.copyfileobj(f, out)


UNITS = {
    'fails.service': '[Service]\nExecStart=/bin/false\n', 'restarts.service': '[Service]\nExecStart=/bin/sh -c "exit 3"\nRestart=always\nRestartSec=50ms\n',
    'missing.service': '[Service]\nExecStart=/no/such/program\n', 'hangs.service': '[Service]\nType=notify\nExecStart=/bin/sleep 100\nTimeoutStartSec=1\n',
    'watched.service': '[Service]\nType=simple\nExecStart=/bin/sleep 100\nWatchdogSec=1\nNotifyAccess=all\n', 'dumps.service': '[Service]\nExecStart=/bin/sh -c "kill -SEGV $$$$"\n',
    'killed.service': '[Service]\nExecStart=/bin/sh -c "kill -KILL $$$$"\n', 'stubborn.service': '[Service]\nExecStart=/bin/sh -c "trap : TERM; while :; do sleep 1; done"\nTimeoutStopSec=1\n',
    'needs.service': '[Unit]\nRequires=fails2.service\nAfter=fails2.service\n[Service]\nExecStart=/bin/true\n', 'fails2.service': '[Service]\nType=oneshot\nExecStart=/bin/false\n',
    'fine.service': '[Service]\nExecStart=/bin/sleep 1\n', 'user.service': '[Service]\nUser=nobodyhere\nExecStart=/bin/true\n',
    'hungry.service': '[Service]\nMemoryMax=20M\nMemorySwapMax=0\nExecStart=/usr/bin/perl -e "my $x = q(x) x 200000000; sleep 3"\n',
    'conditional.service': '[Unit]\nConditionPathExists=/no/such\n[Service]\nExecStart=/bin/true\n', 'bad.service': '[Service]\nExecStart=relative\nNoSuchKey=1\n',
    'loop1.service': '[Unit]\nRequires=loop2.service\nAfter=loop2.service\n[Service]\nExecStart=/bin/true\n', 'loop2.service': '[Unit]\nRequires=loop1.service\nAfter=loop1.service\n[Service]\nExecStart=/bin/true\n',
}


def systemd(s):
    """A systemd that is process 1, in namespaces; its units fail in the ways that units do."""
    work = s.path('work')
    os.mkdir(work)
    boot = os.path.join(HERE, '..', '..', 'test', 'lib', 'debian_root.sh')
    p = s.start('unshare', '--net', '--kill-child', boot, '/', 'host', work, stdout=open(s.path('boot'), 'wb'), stderr=subprocess.STDOUT)
    pid = ''

    def inner():
        nonlocal pid
        todo = [p.pid]
        while todo:
            at = todo.pop()
            with contextlib.suppress(OSError):
                if open(f'/proc/{at}/comm').read().strip() == 'systemd':
                    pid = str(at)
                    return True
                todo += [int(c) for c in open(f'/proc/{at}/task/{at}/children').read().split()]
        return False
    until(inner, 20, 'systemd')
    if not pid:
        return
    into = ['nsenter', '--target', pid, '--mount', '--pid', '--net', '--uts', '--ipc', '--cgroup', '--', 'chroot', os.path.join(work, 'root')]
    until(lambda: subprocess.run([*into, 'systemctl', 'is-system-running'], capture_output=True, text=True, timeout=20).stdout.strip() in ('running', 'degraded'), 60, 'systemd')
    for name, text in UNITS.items():
        subprocess.run([*into, 'tee', '/etc/systemd/system/' + name], input=text, text=True, stdout=subprocess.DEVNULL, timeout=20)
    quiet(*into, 'systemctl', 'daemon-reload')
    for round_ in range(4):
        for name in UNITS:
            quiet(*into, 'systemctl', 'start', '--no-block', name)
        time.sleep(3)
        for name in UNITS:
            quiet(*into, 'systemctl', 'stop', '--no-block', name)
            quiet(*into, 'systemctl', 'reset-failed', name)
        time.sleep(2)
    with open(s.log, 'wb') as out:
        subprocess.run([*into, 'journalctl', '--no-pager', '-o', 'short'], stdout=out, timeout=60)


PROGRAMS = {'redis': redis, 'postgres': postgres, 'nginx': nginx, 'haproxy': haproxy, 'etcd': etcd, 'holdfast': holdfast, 'dnsmasq': dnsmasq,
            'python-logging': python_logging, 'kernel': kernel, 'packages': packages, 'systemd': systemd}


def mix(folder):
    """In runs of 1 to 20 lines, each source in proportion to its length."""
    sources = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith('.log') and name != 'mixed.log':
            with open(os.path.join(folder, name), 'rb') as f:
                sources[name] = f.read().splitlines(keepends=True)
    at = dict.fromkeys(sources, 0)
    with open(os.path.join(folder, 'mixed.log'), 'wb') as out:
        while any(at[n] < len(sources[n]) for n in sources):
            name = RANDOM.choices(list(sources), [max(len(v) - at[n], 0) for n, v in sources.items()])[0]
            run = RANDOM.randrange(1, 21)
            out.writelines(line if line.endswith(b'\n') else line + b'\n' for line in sources[name][at[name]:at[name] + run])
            at[name] += run


def main():
    folder, wanted = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(PROGRAMS)
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o755)
    for name in wanted:
        began, s = time.monotonic(), Started(folder, name)
        try:
            PROGRAMS[name](s)
        except (OSError, subprocess.SubprocessError) as e:
            print(f'{name}: {e}', flush=True)
        finally:
            s.end()
        with open(s.log, 'rb') as f:
            print(f'{name}: {sum(1 for _ in f)} lines in {time.monotonic() - began:.0f} s', flush=True)
    mix(folder)


if __name__ == '__main__':
    main()
