"""What baton says when it does not start: the command line, files that are none, places that it may not use."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from api import TOKEN, ApiTest
from harness import BATON, PATIENCE, Baton, config, run_baton

NOBODY = 65534


def run_as_nobody(*arguments):
    """A copy of the program: root's folders, in which it may have been built, are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = shutil.copy(BATON, folder)
        done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, check=False, user=NOBODY if os.geteuid() == 0 else None)
    return done.returncode, done.stdout, done.stderr


def on_read_only_mount(folder):
    """What stands before a command so that `folder` is read-only for it alone."""
    text = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    return ["unshare", "-rm", "sh", "-c", text, "sh", str(folder)]


def may_mount(folder):
    command = [*on_read_only_mount(folder), "true"]
    return shutil.which("unshare") and subprocess.run(command, capture_output=True, check=False).returncode == 0


class CommandLineTest(ApiTest):
    def test_F_messages_the_reason_is_not_hidden_by_the_usage(self):
        usage = "usage: baton -c FILE; baton -h prints the rest\n"
        for arguments, reason in ((["-x"], "unknown argument -x"), (["-c"], "-c needs a value"),
                                  (["-c", ""], "-c needs a value"), ([""], 'unknown argument ""'),
                                  (["--to", ""], "--to needs a value"),
                                  (["--to=127.0.0.1:1"],
                                   "unknown argument --to=127.0.0.1:1, did you mean --to 127.0.0.1:1"),
                                  (["--lisen=a:1"], "unknown argument --lisen=a:1, did you mean --listen a:1"),
                                  (["--lisen", "127.0.0.1:1"], "unknown argument --lisen, did you mean --listen"),
                                  (["redis-chek", "-c", "a"], "unknown argument redis-chek, did you mean redis-check"),
                                  (["-c", "a", "--nodes", "b:1"], "unknown argument --nodes, did you mean --node"),
                                  (["-t"], "expected -c FILE, or --listen and --to"),
                                  (["\u00e9"], "unknown argument \u00e9"),
                                  (["redis-check", "-c", "a", "--node", "b"], "--node: expected a host with a port")):
            with self.subTest(arguments=arguments):
                self.assertEqual(run_baton(*arguments), (2, "", f"baton: {reason}\n{usage}"))
        status, out, err = run_baton()
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(err.splitlines()[0], "baton: expected -c FILE, or --listen and --to")
        self.assertTrue(err.endswith(run_baton("-h")[1]))

    def test_F_messages_help_and_version_by_every_name(self):
        usage = run_baton("-h")[1]
        for word in ("help", "--help"):
            self.assertEqual(run_baton(word), (0, usage, ""))
        version = run_baton("-V")[1]
        for word in ("version", "-v", "--version"):
            self.assertEqual(run_baton(word), (0, version, ""))
            self.assertIn(word, usage)


class FileTest(ApiTest):
    def test_F_messages_files_that_hold_nothing(self):
        needs = ":1:1: expected [[listener]], [[upstream]] and [[route]], found "
        for path, found in ((self.file("empty.toml", ""), "an empty file"), ("/dev/null", "an empty file"),
                            (self.file("blank.toml", " \n\n"), "an empty file"),
                            (self.file("comments.toml", "# grace = 5\n"), "nothing but comments")):
            for arguments in (["-t"], []):
                self.assertEqual(run_baton(*arguments, "-c", path), (2, "", f"{path}{needs}{found}\n"))

    def test_F_messages_files_that_are_no_text(self):
        error = f"{BATON}:1:1: syntax error: expected text, found a NUL byte\n"
        self.assertEqual(run_baton("-t", "-c", BATON), (2, "", error))
        self.assertEqual(run_baton("-t", "-c", "/dev/zero"), (2, "", "/dev/zero: it is larger than 16MiB\n"))
        path = self.file("utf16.toml", "")
        path.write_bytes("grace = '1s'\n".encode("utf-16"))
        self.assertEqual(run_baton("-t", "-c", path)[2], f"{path}:1:1: syntax error: expected UTF-8, found UTF-16\n")

    def test_F_messages_the_folder_of_the_log_is_missing(self):
        path = self.file("t.toml", config(["127.0.0.1:1"], log={"access": "/nonexistent/access.log"}))
        for arguments in (["-t"], []):
            status, out, err = run_baton(*arguments, "-c", path)
            self.assertEqual((status, out), (2, ""))
            self.assertRegex(err, r':\d+:\d+: log\.access: expected a file in a folder that exists, found '
                                  r'"/nonexistent/access\.log"; "/nonexistent/": No such file or directory\n$')

    def test_F_messages_a_port_below_1024_needs_a_capability(self):
        first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text(encoding="ascii"))
        port = next((port for port in (80, 1, 7, 1023) if port < first), None)
        path = self.file("t.toml", config(["127.0.0.1:9"], listener={"address": f"127.0.0.1:{port}"}))
        path.parent.chmod(0o755)
        if port is None or run_as_nobody("-t", "-c", path)[0] != 0:
            self.skipTest("nobody here lacks the capability and may run baton")
        status, out, err = run_as_nobody("-c", path)
        self.assertEqual((status, out), (1, ""))
        self.assertIn(f"cannot listen on 127.0.0.1:{port}: Permission denied; ", err)
        self.assertIn("CAP_NET_BIND_SERVICE", err)
        self.assertIn("AmbientCapabilities=CAP_NET_BIND_SERVICE", err)


class SecretTest(ApiTest):
    """Files with secrets as Kubernetes (0644) and Docker (0444) mount them."""

    def configuration(self, token_mode, password_mode):
        """The path of a file, and the folder of its secrets."""
        tokens = self.token_file(f"app {TOKEN}\n", token_mode)
        password = tokens.parent / "password"
        password.write_text("secret\n", encoding="ascii")
        password.chmod(password_mode)
        session = {"store": "redis", "api": {"address": "127.0.0.1:0", "token_file": str(tokens)}}
        redis = {"address": "127.0.0.1:1", "password_file": str(password)}
        path = self.file("t.toml", config([], session=session, redis=redis, routes=[{"upstream": "app"}],
                                          upstreams=[{"name": "app", "servers": [{"address": "127.0.0.1:9"}]}]))
        return path, tokens.parent

    def test_F_messages_an_open_secret_is_refused_with_the_cure(self):
        for mode in (0o644, 0o444, 0o604, 0o404, 0o777):
            path, _ = self.configuration(mode, mode)
            status, out, err = run_baton("-t", "-c", path)
            self.assertEqual((status, out), (2, ""))
            for key in ("session.api.token_file", "redis.password_file"):
                self.assertRegex(err, rf"{key}: expected .*; everybody can read it: chmod o-rw?; it must belong to the "
                                      "user that baton runs as, now .+, or to a group of that user\n")
            self.assertNotIn(TOKEN, err)

    def test_F_messages_an_open_secret_passes_with_a_warning_where_nobody_can_mend_it(self):
        for mode in (0o644, 0o444):
            path, folder = self.configuration(mode, mode)
            before = on_read_only_mount(folder)
            if not may_mount(folder):
                self.skipTest("no mount of our own can be made here")
            done = subprocess.run([*before, str(BATON), "-t", "-c", path], capture_output=True, text=True, check=False,
                                  timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (0, f"{path}: ok\n"))
            for key in ("session.api.token_file", "redis.password_file"):
                self.assertRegex(done.stderr, rf":\d+:\d+: {key}: everybody can read it, on a read-only mount")
            self.assertEqual(len(done.stderr.splitlines()), 2)
            baton = self.started(Baton(path.read_text(encoding="utf-8"), before=before))
            warnings = [event for event in baton.events() if event["event"] == "risky configuration"]
            self.assertEqual(len(warnings), 2)
            self.assertIn("everybody can read it", warnings[0]["reason"])

    def test_F_messages_a_closed_secret_on_a_read_only_mount_is_no_warning(self):
        path, folder = self.configuration(0o400, 0o440)
        if not may_mount(folder):
            self.skipTest("no mount of our own can be made here")
        done = subprocess.run([*on_read_only_mount(folder), str(BATON), "-t", "-c", path], capture_output=True,
                              text=True, check=False, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"{path}: ok\n", ""))

    def test_F_messages_a_secret_of_somebody_else_names_the_user(self):
        path, folder = self.configuration(0o400, 0o400)
        for one in (folder, path.parent):
            one.chmod(0o755)
        if os.geteuid() != 0 or run_as_nobody("-V")[0] != 0:
            self.skipTest("nobody else here may run baton")
        status, _, err = run_as_nobody("-t", "-c", path)
        self.assertEqual(status, 2)
        self.assertRegex(err, r"token_file: expected .*; Permission denied; it must belong to the user that baton "
                              "runs as, now nobody, or to a group")

    def test_F_messages_secrets_with_a_byte_order_mark(self):
        path, folder = self.configuration(0o600, 0o600)
        (folder / "password").write_bytes(b"\xef\xbb\xbfsecret\r\n")
        (folder / "tokens").write_bytes(b"\xef\xbb\xbf" + f"app {TOKEN}\n".encode())
        err = run_baton("-t", "-c", path)[2]
        for key in ("session.api.token_file", "redis.password_file"):
            self.assertRegex(err, rf"{key}: expected .*; it begins with a byte order mark\n")

    def test_F_messages_a_password_is_one_line(self):
        path, folder = self.configuration(0o600, 0o600)
        for text, good in ((b"secret", True), (b"secret\n", True), (b"secret\r\n\r\n", True), (b"", False),
                           (b"\n", False), (b"secret\nuser\n", False), (b"\nsecret\n", False)):
            with self.subTest(text=text):
                (folder / "password").write_bytes(text)
                status, _, err = run_baton("-t", "-c", path)
                self.assertEqual(status, 0 if good else 2)
                wrong = "redis.password_file: .*; it (is empty|has more than one line)\n"
                self.assertRegex(err, "^$" if good else wrong)
                self.assertNotIn("secret", err)
        # Secrets of Kubernetes that were made with `echo` end in a line end.
        text = path.read_text(encoding="utf-8").replace(f'password_file = "{folder}/password"', 'password_env = "P"')
        self.assertIn("password_env", text)
        path.write_text(text, encoding="utf-8")
        for value, good in (("secret\n", True), ("secret", True), ("", False), ("\n", False), ("a\nsecret", False)):
            with self.subTest(value=value):
                done = subprocess.run([BATON, "-t", "-c", path], env={"P": value}, capture_output=True, text=True,
                                      timeout=PATIENCE, check=False)
                self.assertEqual(done.returncode, 0 if good else 2, done.stderr)
                self.assertNotIn("secret", done.stderr)


if __name__ == "__main__":
    unittest.main()
