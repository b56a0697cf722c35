"""Real Redis servers and Sentinels, each a process with a folder of its own, and clusters of them.

A port stays bound as long as its process' object lives: nobody else gets it while the process is down, and connecting
to it then is refused. Processes end with the process that started them, however that ends.

Debian's package redis-tools has the server under the names of two tools, and without the daemon that redis-server
would start: the program is told by the name that it is run under what it is to be.
"""

import concurrent.futures
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from peers import PATIENCE
from resp import RedisClient, RedisError, pairs

LONG_PATIENCE = 40  # seconds for what several processes must come to
LOG_END = 3000  # characters of each log that a failure shows
MASTER = "mymaster"

# Sentinel's own periods (SENTINEL DEBUG) are made for quieter times: with them a master that comes back is only made a
# replica after 8 s, and a Sentinel that was stopped for 2 s does nothing for 30 s.
HASTY = {"info-period": 250, "ping-period": 250, "ask-period": 200, "publish-period": 250, "tilt-period": 1000}


def program(name):
    """What to run as redis-server or redis-sentinel, or None."""
    for known in (name, "redis-server", "redis-check-rdb"):
        if path := shutil.which(known):
            return path
    return None


def need_redis():
    """For setUpModule, setUpClass and tests: skips them without a server."""
    if program("redis-server") is None:
        raise unittest.SkipTest("there is no redis-server, and no redis-tools")


# ---------------------------------------------------------------- processes

# A child ends with the thread that began it, so that is one which lives as long as this process.
_spawner = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="redis-spawner")
_prctl = ctypes.CDLL(None, use_errno=True).prctl
_PR_SET_PDEATHSIG = 1


def _spawn(words, **keys):
    parent = os.getpid()

    def end_with_parent():
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before
            os.kill(os.getpid(), signal.SIGKILL)

    return _spawner.submit(subprocess.Popen, words, preexec_fn=end_with_parent, stdin=subprocess.DEVNULL,
                           **keys).result()


def until(condition, what, processes=(), patience=LONG_PATIENCE):
    """What the condition is, once it is true. A process that is not there yet, or not any more, makes it false."""
    end = time.monotonic() + patience
    fault = None
    while True:
        try:
            if value := condition():
                return value
            fault = None
        except (OSError, RedisError) as one:
            fault = one
        if time.monotonic() > end:
            logs = "".join(process.log_end() for process in processes)
            raise AssertionError(f"{what} did not come{f' ({fault})' if fault else ''}\n{logs}")
        time.sleep(0.01)


class Process:
    """A redis-server or redis-sentinel. `stop` is a clean end and `kill` none; `close` also removes what is left."""

    kind = ""

    @staticmethod
    def place():
        """Where its folder is made: None is the usual place."""
        return None

    def __init__(self, settings, *, user=None, password=None):
        self.user = user
        self.password = password
        self.process = None
        self.suspended = False
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port = self._held.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="baton-redis-", dir=self.place()))
        self._config = self.folder / "redis.conf"
        self._log = self.folder / "log"
        self.settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "daemonize": "no", **settings}

    # -- its configuration

    def text(self):
        """The configuration file as it was at first. A list is a line for each, None is no line."""
        lines = []
        for key, value in self.settings.items():
            values = value if isinstance(value, (list, tuple)) else [] if value is None else [value]
            lines += [f"{key} {one if one != '' else chr(34) * 2}\n" for one in values]
        return "".join(lines)

    def write_config(self):
        self._config.write_text(self.text(), encoding="utf-8")

    def current_config(self):
        """As the process has rewritten it."""
        return self._config.read_text(encoding="utf-8")

    # -- its life

    def launch(self):
        """Starts it and does not wait for it."""
        if not self._config.exists():
            self.write_config()
        with self._log.open("ab") as log:
            self.process = _spawn([self.kind, self._config], executable=program(self.kind), cwd=self.folder,
                                  stdout=log, stderr=log)
        self.suspended = False

    def start(self):
        self.launch()
        self.wait_until_ready()
        return self

    def ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.kind} ended with {self.process.returncode}\n{self.log_end()}")
        with self.client(timeout=2) as client:
            return client.command("PING") == "PONG"

    def wait_until_ready(self):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if self.ready():
                    return
            except (OSError, RedisError) as fault:
                if time.monotonic() > end:
                    raise AssertionError(f"{self.kind} is not ready ({fault})\n{self.log_end()}") from fault
            time.sleep(0.001)

    @property
    def pid(self):
        return self.process.pid

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def answers(self):
        return self.runs() and not self.suspended

    def stop(self):
        """A clean end: its clients see their connections closed. Data are not kept."""
        if not self.runs():
            return
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired as hang:
            self.kill()
            raise AssertionError(f"{self.kind} does not end\n{self.log_end()}") from hang

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.suspended = False

    def suspend(self):
        """Stops it with all its connections open. Returns when it stands."""
        if not self.suspended:
            self.process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            self.suspended = True

    def resume(self):
        if self.suspended:
            self.process.send_signal(signal.SIGCONT)
            self.suspended = False

    def restart(self, *, original_config=False):
        """Stops it, if it runs, and starts it on the same port: with its configuration as it or a Sentinel has
        rewritten it, or as it was at first."""
        self.stop()
        if original_config:
            self.write_config()
        return self.start()

    def close(self):
        self.kill()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- talking to it

    def client(self, **keys):
        return RedisClient(self.port, **{"user": self.user, "password": self.password, **keys})

    def ask(self, *words):
        """One command on a connection of its own."""
        with self.client() as client:
            return client.command(*words)

    def info(self, section="default"):
        lines = self.ask("INFO", section).decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def log(self):
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def log_end(self):
        state = "suspended" if self.suspended else "running" if self.runs() else "not running"
        return f"-- {self.kind} {self.port}, {state}:\n{self.log()[-LOG_END:]}\n"


class Node(Process):
    """A redis-server. Settings are lines of its configuration file; a random password unless it is told one.

    A node that is to be a replica is given its master.
    """

    kind = "redis-server"

    def __init__(self, *, replica_of=None, password=None, settings=None, start=True):
        password = password or secrets.token_hex(16)
        lines = {
            "requirepass": password,
            "masterauth": password,
            "save": "",
            "appendonly": "no",
            "repl-diskless-sync": "yes",
            "repl-diskless-sync-delay": 0,
            "repl-diskless-load": "on-empty-db",
            "shutdown-timeout": 0,
            "enable-debug-command": "yes",
            "replicaof": f"127.0.0.1 {replica_of.port}" if replica_of else None,
        }
        super().__init__({**lines, **(settings or {})}, password=password)
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def restart_as_master(self):
        """What an old master does that comes back with its own file: Sentinel's changes to it are lost."""
        self.settings["replicaof"] = None
        return self.restart(original_config=True)

    def role(self):
        return self.info("replication")["role"]

    def in_sync_with(self, master):
        """Whether it is a replica of that node, has all that there was, and the master knows of it."""
        told = self.info("replication")
        state = told["role"], told.get("master_port"), told.get("master_link_status")
        return state == ("slave", str(master.port), "up") and self.port in master.online()

    def wait_in_sync(self, master):
        until(lambda: self.in_sync_with(master), f"{self.port} in sync with {master.port}", [self, master])

    def online(self):
        """The ports of its replicas, of those that it keeps up to date."""
        told = self.info("replication")
        replicas = [dict(pair.split("=") for pair in told[f"slave{number}"].split(","))
                    for number in range(int(told["connected_slaves"]))]
        return {int(replica["port"]) for replica in replicas if replica["state"] == "online"}


class Sentinel(Process):
    """A redis-sentinel that watches one master. `password` is its own, `node_password` that of the servers.

    With ACL lines (settings={"user": [...]}) `user` and `password` are what `client` logs in with.
    """

    kind = "redis-sentinel"

    @staticmethod
    def place():
        """In memory: a Sentinel syncs its file before it asks for votes, and meanwhile others may stand for it too."""
        return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

    def __init__(self, master, *, quorum=2, name=MASTER, down_after=1000, failover_timeout=5000, node_password=None,
                 user=None, password=None, periods=None, settings=None, start=True):
        self.name = name
        self.identity = secrets.token_hex(20)
        self._periods = HASTY if periods is None else periods
        node_password = node_password or master.password
        lines = {
            "protected-mode": "no",
            "requirepass": password if user is None else None,
            "sentinel myid": self.identity,
            "sentinel monitor": f"{name} 127.0.0.1 {master.port} {quorum}",
            "sentinel down-after-milliseconds": f"{name} {down_after}",
            "sentinel failover-timeout": f"{name} {failover_timeout}",
            "sentinel auth-pass": f"{name} {node_password}" if node_password else None,
        }
        super().__init__({**lines, **(settings or {})}, user=user, password=password)
        if start:
            try:
                self.start()
            except BaseException:
                self.close()
                raise

    def introduce(self, others):
        """Lets it begin with what Sentinels otherwise learn within seconds, and keep in their files: the others."""
        self.settings["sentinel known-sentinel"] = [f"{self.name} 127.0.0.1 {other.port} {other.identity}"
                                                    for other in others if other is not self]

    def wait_until_ready(self):
        super().wait_until_ready()
        if self._periods:
            self.ask("SENTINEL", "DEBUG", *(word for pair in self._periods.items() for word in pair))

    def master_port(self):
        """Of the master that it names."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)[1])

    def master_state(self):
        return pairs(self.ask("SENTINEL", "MASTER", self.name))

    def replica_states(self):
        return [pairs(one) for one in self.ask("SENTINEL", "REPLICAS", self.name)]

    def sentinel_states(self):
        return [pairs(one) for one in self.ask("SENTINEL", "SENTINELS", self.name)]

    def watches(self, master, replicas, sentinels):
        """Whether it sees them well, so many replicas and so many other Sentinels."""
        state = self.master_state()
        others = [one["flags"] for one in self.sentinel_states()]
        copies = [(one["flags"], one["master-link-status"], one["master-port"]) for one in self.replica_states()]
        return (int(state["port"]) == master.port and state["flags"] == "master"
                and others == ["sentinel"] * sentinels
                and copies == [("slave", "ok", str(master.port))] * replicas)


# ---------------------------------------------------------------- clusters


class Cluster:
    """A master, its replicas, and Sentinels that watch them. Running and healthy once it is made.

    Waits are for all the processes that answer: those that are killed or suspended are left out.

    Each Sentinel is patient for `stagger` ms longer than the one before it. Three that see a master go down at once all
    vote for themselves; nobody is elected then, and the next try is after twice the failover timeout.
    """

    def __init__(self, *, replicas=2, sentinels=3, quorum=2, name=MASTER, down_after=1000, failover_timeout=5000,
                 stagger=250, password=None, sentinel_user=None, sentinel_password=None, periods=None, settings=None,
                 sentinel_settings=None):
        self.name = name
        self.password = password or secrets.token_hex(16)
        self.nodes = []
        self.sentinels = []
        try:
            first = self._add_node(settings)
            for _ in range(replicas):  # one by one: a second that asks during the transfer to the first waits for 1 s
                node = self._add_node(settings, first)
                node.wait_in_sync(first)
            for number in range(sentinels):
                self.sentinels.append(Sentinel(
                    first, quorum=quorum, name=name, down_after=down_after + number * stagger,
                    failover_timeout=failover_timeout,
                    user=sentinel_user, password=sentinel_password, periods=periods, settings=sentinel_settings,
                    start=False))
            for sentinel in self.sentinels:
                sentinel.introduce(self.sentinels)
                sentinel.launch()
            for sentinel in self.sentinels:
                sentinel.wait_until_ready()
            self.wait_healed()
        except BaseException:
            self.close()
            raise

    def _add_node(self, settings, master=None):
        node = Node(replica_of=master, password=self.password, settings=settings, start=False)
        self.nodes.append(node)
        return node.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.processes():
            process.close()

    def processes(self):
        return self.sentinels + self.nodes

    @property
    def sentinel_addresses(self):
        return [sentinel.address for sentinel in self.sentinels]

    def node_by_port(self, port):
        return next(node for node in self.nodes if node.port == int(port))

    def until(self, condition, what):
        return until(condition, what, self.processes())

    # -- who is master

    def named(self):
        """The ports that the Sentinels name as the master's, of those that answer."""
        return {sentinel.master_port() for sentinel in self.sentinels if sentinel.answers()}

    def master(self):
        """The node that all Sentinels name, once they agree; without Sentinels the first."""
        def agreed():
            ports = self.named()
            return ports.pop() if len(ports) == 1 else None

        return self.node_by_port(self.until(agreed, "one master")) if self.sentinels else self.nodes[0]

    def replicas(self):
        master = self.master()
        return [node for node in self.nodes if node is not master]

    def wait_for_failover(self, old):
        """The new master, once all Sentinels name it and it says that it is one."""
        def found():
            ports = self.named()
            if len(ports) != 1 or old.port in ports:
                return None
            node = self.node_by_port(ports.pop())
            return node if node.answers() and node.role() == "master" else None

        return self.until(found, f"another master than {old.port}")

    def failover(self):
        """Has Sentinel change the master, with nothing down. The new master."""
        old = self.master()
        self.until(lambda: next(s for s in self.sentinels if s.answers()).ask("SENTINEL", "FAILOVER", self.name),
                   "a failover")
        return self.wait_for_failover(old)

    # -- its health

    def healthy(self):
        if not all(sentinel.answers() for sentinel in self.sentinels):
            return False
        if len(ports := self.named()) > 1:
            return False
        master = self.node_by_port(ports.pop()) if ports else self.nodes[0]
        replicas = [node for node in self.nodes if node is not master]
        return (all(node.answers() for node in self.nodes)
                and master.role() == "master"
                and all(node.in_sync_with(master) for node in replicas)
                and all(one.watches(master, len(replicas), len(self.sentinels) - 1) for one in self.sentinels))

    def wait_healed(self):
        """Waits until all processes run, the Sentinels agree and see everything well, and the replicas are in sync."""
        self.until(self.healthy, "a healthy cluster")

    def heal(self):
        """Resumes what is suspended, starts what is down, and waits until all is well."""
        for process in self.processes():
            process.resume()
            if not process.runs():
                process.start()
        self.wait_healed()
