"""The story of a session in Redis: three servers, two batons, and a master that dies. `demo.py --redis` tells it.

It starts a Redis master with two replicas, three Sentinels, three application servers and two batons, prints what
happens, and judges it by what a client, a Sentinel and a server say: "ok   CLAIM", or "FAIL CLAIM" with what is wrong.
"""

import json
import subprocess
import sys
import threading
import time

from demo import APPS, ROOT, Answer, Demo, wait_for

sys.path[:0] = [str(ROOT / "tests/system"), str(ROOT / "tests/system/redis")]

from cluster import MASTER, Cluster, RedisError, program, until

CLAIMS = ("one session over three servers and two batons", "the session's key in Redis holds no id",
          "Sentinel and baton tell the same", "INFO replication", "the old master's place is taken",
          "nobody is logged out", "who waits is answered", "who does not wait is told so",
          "the session has all that it had", "the old master is a replica", "SET on it is refused",
          "Sentinel and baton tell the same again", "redis-check", "logout holds at both batons")
SETTINGS = {"appendonly": "yes", "min-replicas-to-write": 1, "min-replicas-max-lag": 10,
            "maxmemory-policy": "noeviction"}
HASTE = "reject.example"  # of the route whose requests do not wait
CONFIG = """\
[[listener]]
address = "127.0.0.1:0"

[admin]
address = "127.0.0.1:0"

[[upstream]]
name = "apps"
servers = [{servers}]

[[route]]
upstream = "apps"

[[route]]
hosts = ["{haste}"]
upstream = "apps"
on_unavailable = "reject"

[session]
store = "redis"
create = "always"

[redis]
sentinels = {sentinels}
master = "{master}"
password_file = "{password_file}"

[log]
access = "off"
"""


class RedisDemo(Demo):
    """The processes: those of Redis are the cluster's."""

    def __init__(self, baton):
        super().__init__(baton)
        self.ports = []
        self.admin_ports = []
        self.cluster = None

    def start(self):
        self.cluster = Cluster(settings=SETTINGS)
        self.start_apps()
        for number in (1, 2):
            _, text = self.run_baton(f"baton-{number}", self.config())
            addresses = [line.split(" address=")[1].split() for line in text.splitlines()
                         if " event=listening " in line]
            self.ports += [port_of(words[0]) for words in addresses if len(words) == 1]
            self.admin_ports += [port_of(words[0]) for words in addresses if "serves=admin" in words]
        for number in (0, 1):
            until(lambda: self.store(number)["state"] == "ready", "a baton that has found the master")

    def config(self):
        return CONFIG.format(servers=self.servers(), sentinels=json.dumps(self.cluster.sentinel_addresses),
                             master=MASTER, password_file=self.secret("password", self.cluster.password + "\n"),
                             haste=HASTE)

    def store(self, number):
        """What baton tells of its store."""
        return json.loads(Answer(self.admin_ports[number], path="/v1/store").page)

    def command(self, *words):
        """What one of baton's own commands prints, with the first baton's file."""
        done = subprocess.run([self.baton_file, *words, "-c", f"{self.folder.name}/baton-1.toml"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, check=False)
        return done.stdout.strip()

    def stop(self):
        try:
            super().stop()
        finally:
            if self.cluster is not None:
                self.cluster.close()


def port_of(address):
    return int(address.rpartition(":")[2])


class Visitor(threading.Thread):
    """A client that asks again and again, and keeps what it was answered: (when, seconds, answer)."""

    def __init__(self, ports, host=None):
        super().__init__(daemon=True)
        self.ports = ports
        self.host = host
        self.over = threading.Event()
        self.answers = []
        self.faults = []
        self.id = Answer(ports[0], host=host).new_id()

    def run(self):
        turn = 0
        while not self.over.wait(0.02):
            turn += 1
            begun = time.monotonic()
            try:
                answer = Answer(self.ports[turn % 2], cookie=self.id, host=self.host)
                self.answers.append((begun, time.monotonic() - begun, answer))
            except Exception as fault:  # no answer at all is a finding
                self.faults.append(f"{type(fault).__name__}: {fault}")

    def statuses(self):
        return sorted({answer.status for _, _, answer in self.answers})

    def cookies(self):
        return [cookie for _, _, answer in self.answers for cookie in answer.cookies()]

    def end(self):
        self.over.set()
        self.join(20)


class Story:
    """What happens, in order. Each chapter gives pairs: a claim, and what is wrong, which is nothing if it holds."""

    def __init__(self, demo):
        self.demo = demo
        self.cluster = demo.cluster
        self.failed = 0
        self.id = None
        self.old = None
        self.visits = 0
        self.patient = []  # clients on a route where requests wait
        self.hasty = []  # and on one where they do not

    def say(self, text=""):
        print(text, flush=True)

    def judge(self, claim, wrong):
        if wrong:
            self.failed += 1
            self.say(f"FAIL {claim}: {wrong}")
        else:
            self.say(f"ok   {claim}")
        self.say()

    def run(self):
        for chapter in (self.one_session, self.views, self.replication, self.death, self.life_after, self.comes_back,
                        self.views_again, self.check, self.logout):
            claims = list(chapter.claims)
            try:
                for claim, wrong in chapter():
                    claims.remove(claim)
                    self.judge(claim, wrong)
            except Exception as fault:  # what it waited for did not come
                for claim in claims:
                    self.judge(claim, f"{type(fault).__name__}: {fault}")

    def ask(self, number, method="GET", path="/", form=None):
        answer = Answer(self.demo.ports[number], method, path, self.id, form)
        self.visits += path == "/" and answer.status == 200
        return answer

    # ------------------------------------------------------------ chapters

    def one_session(self):
        self.say(f"A master 127.0.0.1:{self.cluster.master().port}, replicas "
                 + ", ".join(node.address for node in self.cluster.replicas()))
        self.say("Sentinels " + ", ".join(self.cluster.sentinel_addresses))
        self.say("Servers " + ", ".join(f"{name} 127.0.0.1:{port}" for name, port in self.demo.app_ports.items()))
        self.say(", ".join(f"baton {number + 1} 127.0.0.1:{port}" for number, port in enumerate(self.demo.ports)))
        self.say()
        answers = []
        for turn in range(6):
            answer = self.ask(turn % 2)
            self.id = self.id or answer.new_id()
            answers.append(answer)
            self.say(f"baton {turn % 2 + 1} -> {answer.title()}: {answer.status}, session {self.id[:8]}..., visit "
                     f"{answer.row('visits')}{', a cookie is set' if answer.cookies() else ''}")
        self.ask(0, "POST", "/cart", {"add": "tea"})
        login = self.ask(1, "POST", "/login", {"user": "bob"})
        self.id = login.new_id() or self.id
        self.say(f"tea into the cart by baton 1, bob logs in by baton 2: another id, session {self.id[:8]}...")
        yield CLAIMS[0], differences(
            ([200] * 6, [str(n) for n in range(1, 7)], 1, set(APPS), 1),
            ([a.status for a in answers], [a.row("visits") for a in answers],
             len({a.row("Session ID") for a in answers}), {a.title() for a in answers},
             sum(len(a.cookies()) for a in answers)))
        keys = [key.decode() for key in self.cluster.master().ask("KEYS", "*")]
        key = self.demo.command("session", "key", self.id)
        self.say(f"baton session key {self.id[:8]}...: {key}")
        yield CLAIMS[1], "" if key in keys and not any(self.id in one for one in keys) else f"the keys are {keys}"

    one_session.claims = CLAIMS[0:2]

    def views(self):
        yield CLAIMS[2], self.compare_views()

    views.claims = CLAIMS[2:3]

    def compare_views(self):
        """What Sentinel and baton say of the same things, beside each other."""
        sentinel = next(one for one in self.cluster.sentinels if one.answers())
        master = sentinel.master_state()
        named = ":".join(word.decode() for word in sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER))
        slaves = sorted(f"{one['ip']}:{one['port']}" for one in sentinel.replica_states())
        others = sorted(f"{one['ip']}:{one['port']}" for one in sentinel.sentinel_states())
        self.say(f"sentinel {sentinel.address}")
        self.say(f"  SENTINEL get-master-addr-by-name {MASTER}: {named}")
        self.say("  SENTINEL master: " + ", ".join(f"{name} {master[name]}" for name in (
            "flags", "config-epoch", "num-slaves", "num-other-sentinels", "quorum", "down-after-milliseconds")))
        self.say(f"  SENTINEL slaves: {', '.join(slaves)}")
        self.say(f"  SENTINEL sentinels: {', '.join(others)}")
        expected = (named, int(master["config-epoch"]), slaves, "ready",
                    [True, named, int(master["quorum"]), int(master["num-other-sentinels"]),
                     int(master["num-slaves"])])

        def told(number):
            store = self.demo.store(number)
            seen = next(one for one in store["sentinels"] if one["address"] == sentinel.address)
            return (store["master"], store["epoch"], sorted(one["address"] for one in store["replicas"]),
                    store["state"], [seen[name] for name in
                                     ("answers", "master", "quorum", "other_sentinels", "replicas")]), store

        end = time.monotonic() + 10  # baton asks each second
        for number in (0, 1):
            until(lambda: told(number)[0] == expected or time.monotonic() > end, "a view")
            found, store = told(number)
            self.say(f"baton {number + 1} /v1/store: state {store['state']}, master {store['master']}, epoch "
                     f"{store['epoch']}, replicas {', '.join(found[2])}, "
                     f"{sum(one['answers'] for one in store['sentinels'])} Sentinels answer, failovers "
                     f"{store['failovers']}")
            if found != expected:
                return f"baton {number + 1} tells {found} and Sentinel {expected}"
        return ""

    def replication(self):
        yield CLAIMS[3], self.show_replication(self.cluster.master(), "master")

    replication.claims = CLAIMS[3:4]

    def show_replication(self, node, role):
        self.say(f"INFO replication of {node.address}")
        told = node.info("replication")
        for name, value in told.items():
            if name in ("role", "connected_slaves", "master_host", "master_port", "master_link_status") \
                    or name.startswith("slave") and name[5:].isdigit():
                self.say(f"  {name}:{value}")
        return differences(role, told["role"]) or (
            differences("2", told["connected_slaves"]) if role == "master" else differences(
                "up", told["master_link_status"]))

    def death(self):
        self.old = self.cluster.master()
        ports = self.demo.ports
        self.patient = [Visitor(ports) for _ in range(4)]
        self.hasty = [Visitor(ports, host=HASTE) for _ in range(2)]
        visitors = self.patient + self.hasty
        for visitor in visitors:
            visitor.start()
        until(lambda: all(len(visitor.answers) >= 20 for visitor in visitors), "visitors")
        self.say(f"Six clients ask all the time, two of them on a route with on_unavailable = \"reject\". kill -9 "
                 f"{self.old.pid}, the master")
        killed = time.monotonic()
        self.old.kill()
        new = self.cluster.wait_for_failover(self.old)
        self.say(f"  {time.monotonic() - killed:4.1f} s  the Sentinels name {new.address}, and it is a master")
        for number in (0, 1):
            until(lambda: self.demo.store(number)["master"] == new.address
                  and self.demo.store(number)["state"] == "ready", "a baton at the new master")
            self.say(f"  {time.monotonic() - killed:4.1f} s  baton {number + 1} is ready there")
        # Until each of them was answered by it.
        over = time.monotonic()
        until(lambda: all(v.answers[-1][0] > over and v.answers[-1][2].status == 200 for v in visitors),
              "answers as before")
        for visitor in visitors:
            visitor.end()
        self.say(f"  {time.monotonic() - killed:4.1f} s  all clients are answered as before")
        yield CLAIMS[4], differences((new.address, 1), (self.demo.store(0)["master"],
                                                       self.demo.store(0)["failovers"]))
        answers = [answer for visitor in visitors for answer in visitor.answers]
        self.say(f"{len(answers)} answers, {sum(len(v.cookies()) for v in visitors)} of them with a cookie")
        yield CLAIMS[5], differences(([], []), ([cookie for v in visitors for cookie in v.cookies()],
                                                [fault for v in visitors for fault in v.faults]))
        waited = max(seconds for visitor in self.patient for _, seconds, _ in visitor.answers)
        shown = sorted({status for visitor in self.patient for status in visitor.statuses()})
        self.say(f"wait-serve: statuses {shown}, the longest wait {waited:.1f} s")
        bad = [answer.head for visitor in self.patient for _, _, answer in visitor.answers
               if answer.status != 200 and not (answer.status == 503 and answer.field("Retry-After"))]
        yield CLAIMS[6], bad[0] if bad else "" if 200 in shown and waited < 8 else f"{waited:.1f} s"
        refused = [answer for visitor in self.hasty for _, _, answer in visitor.answers if answer.status != 200]
        longest = max((seconds for visitor in self.hasty for _, seconds, answer in visitor.answers
                       if answer.status == 503), default=0)
        self.say(f"reject: {len(refused)} times {sorted({answer.status for answer in refused})}, Retry-After "
                 f"{sorted({answer.field('Retry-After') or 'none' for answer in refused})}, the longest after "
                 f"{longest:.1f} s")
        yield CLAIMS[7], "" if refused and all(a.status == 503 and a.field("Retry-After") == "1" for a in refused) \
            else "no 503 with Retry-After: 1, or another status"

    death.claims = CLAIMS[4:8]

    def life_after(self):
        pages = [self.ask(number) for number in (0, 1)]
        for number, page in enumerate(pages):
            self.say(f"baton {number + 1} -> {page.title()}: user {page.row('user')}, cart {page.row('cart')}, visit "
                     f"{page.row('visits')}")
        yield CLAIMS[8], differences(
            [(200, self.id, "bob", "tea", str(self.visits - 1)), (200, self.id, "bob", "tea", str(self.visits))],
            [(p.status, p.row("Session ID"), p.row("user"), p.row("cart"), p.row("visits")) for p in pages])

    life_after.claims = CLAIMS[8:9]

    def comes_back(self):
        self.say(f"{self.old.address} is started again, with the file it had")
        self.old.start()
        self.cluster.wait_healed()
        yield CLAIMS[9], self.show_replication(self.old, "slave")
        try:
            answer = self.old.ask("SET", "who", "master?")
        except RedisError as fault:
            answer = str(fault)
        self.say(f"SET who master?: {answer}")
        yield CLAIMS[10], "" if str(answer).startswith("READONLY ") else "it was not"

    comes_back.claims = CLAIMS[9:11]

    def views_again(self):
        yield CLAIMS[11], self.compare_views()

    views_again.claims = CLAIMS[11:12]

    def check(self):
        text = self.demo.command("redis-check")
        self.say("baton redis-check")
        for line in text.splitlines():
            self.say("  " + line)
        yield CLAIMS[12], "" if text.splitlines()[-1] == "ok" else "its last line is not ok"

    check.claims = CLAIMS[12:13]

    def logout(self):
        old = self.id
        left = self.ask(0, path="/logout")
        pages = [self.ask(number) for number in (0, 1)]
        yield CLAIMS[13], differences(("logged out", ["nothing", "nothing"], True), (
            left.row("State"), [page.row("user") for page in pages],
            all(page.row("Session ID") != old for page in pages)))

    logout.claims = CLAIMS[13:14]


def differences(expected, found):
    return "" if expected == found else f"expected {expected} found {found}"


def run(baton, leave):
    """The exit status: 0 if all claims hold."""
    if program("redis-server") is None:
        print("FAIL there is no redis-server: ./dev demo --redis installs redis-tools")
        return 1
    demo = RedisDemo(baton)
    try:
        demo.start()
        story = Story(demo)
        story.run()
        print("all claims hold" if not story.failed else f"{story.failed} of {len(CLAIMS)} claims do not hold")
        if not leave:
            print(f"\nhttp://127.0.0.1:{demo.ports[0]}/ and http://127.0.0.1:{demo.ports[1]}/ until Ctrl-C; the master "
                  f"is process {demo.cluster.master().pid}", flush=True)
            wait_for(demo.batons[0])
        return 1 if story.failed else 0
    except (OSError, RuntimeError, AssertionError) as fault:
        print(f"FAIL {fault}")
        return 1
    finally:
        demo.stop()
