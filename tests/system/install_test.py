"""What `meson install` puts where, into a folder of the test's own."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import BUILD, ROOT


class InstallTest(unittest.TestCase):
    def setUp(self):
        if shutil.which("meson") is None:
            self.skipTest("there is no meson")
        folder = tempfile.TemporaryDirectory(prefix="baton-test-")
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name, "root")
        options = json.loads(subprocess.run(["meson", "introspect", "--buildoptions", BUILD], capture_output=True,
                                            check=True).stdout)
        options = {option["name"]: option["value"] for option in options}
        prefix = Path(options["prefix"])
        self.program = self.below(prefix / options["bindir"] / "baton")
        self.configuration = self.below(prefix / options["sysconfdir"] / "baton/baton.toml")
        self.documents = self.below(prefix / options["datadir"] / "doc/baton")

    def below(self, path):
        return self.root / path.relative_to("/")

    def install(self):
        done = subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild"], capture_output=True, text=True,
                              check=False, env={**os.environ, "DESTDIR": str(self.root)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_program_configuration_and_licence(self):
        self.install()
        self.assertTrue(os.access(self.program, os.X_OK))
        version = subprocess.run([self.program, "-V"], capture_output=True, text=True, check=True).stdout
        self.assertTrue(version.startswith("baton "))
        self.assertEqual(self.configuration.read_bytes(), (ROOT / "conf/baton.toml").read_bytes())
        self.assertEqual(self.configuration.stat().st_mode & 0o777, 0o644)
        checked = subprocess.run([self.program, "-t", "-c", self.configuration], capture_output=True, text=True,
                                 check=False)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        for name, source in (("LICENSE", "LICENSE"), ("baton.toml", "conf/baton.toml"),
                             ("minimal.toml", "conf/minimal.toml"), ("seed/baton.toml", "conf/seed/baton.toml")):
            self.assertEqual((self.documents / name).read_bytes(), (ROOT / source).read_bytes())
        # The program, and nothing of the tests.
        self.assertEqual([path.name for path in self.program.parent.iterdir()], ["baton"])

    def test_a_changed_configuration_stays(self):
        self.install()
        self.configuration.write_text("# mine\n", encoding="utf-8")
        self.configuration.chmod(0o600)
        self.program.write_bytes(b"old")
        self.install()
        self.assertEqual(self.configuration.read_text(encoding="utf-8"), "# mine\n")
        self.assertEqual(self.configuration.stat().st_mode & 0o777, 0o600)
        self.assertNotEqual(self.program.read_bytes(), b"old")


if __name__ == "__main__":
    unittest.main()
