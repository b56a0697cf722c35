"""The house rules that a compiler does not know, read from the sources."""

import os
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What a folder may include besides its own files. Arrows point downwards only:
#     tests -> proxy -> session, upstream -> net
# and in proxy
#     main -> process -> service -----+
#       |        |-----> http1 -------+-> exchange -> context -> route -> config
#       +-----> command -> config               +---> head
NET = ["net", "net/http"]
BELOW = [*NET, "session", "session/memory", "session/redis", "upstream"]
RELAYING = [*BELOW, "proxy/exchange", "proxy/context", "proxy/head", "proxy/route", "proxy/config"]
ARROWS = {
    "net": [],
    "net/http": ["net"],
    "session": NET,
    "session/memory": [*NET, "session"],
    "session/redis": [*NET, "session"],
    "upstream": NET,
    "proxy/config": BELOW,
    "proxy/route": [*BELOW, "proxy/config"],
    "proxy/head": BELOW,
    "proxy/context": [*BELOW, "proxy/route", "proxy/config"],
    "proxy/exchange": RELAYING,
    "proxy/http1": RELAYING,
    "proxy/service": RELAYING,
    "proxy/process": [*RELAYING, "proxy/http1", "proxy/service"],
    "proxy/command": [*BELOW, "proxy/config"],
    "proxy": ["net", "session", "proxy/process", "proxy/command", "proxy/config"],
}

# Includes against the arrows, while the house is being rebuilt.
EXCEPTIONS = {}

# The files that may include a library's headers; tests may include all of them.
LIBRARIES = {
    r"uv\.h": r"net/.*|proxy/(process/(listener|worker|control)|main)\.(h|cc)",
    r"llhttp\.h": r"net/http/(http_parser|http_syntax|head_guard)\.(h|cc)",
    r"openssl/.*": r"session/(api_token|base64|id|redis/redis_scripts)\.cc",
    r"hiredis/.*": r"session/redis/redis_reply\.cc",
    r"toml\+\+/.*": r"proxy/config/(config_load|toml_table|toml_value)\.(h|cc)",
    r"nlohmann/json\.hpp": r"proxy/service/json_reply\.h",
    r"doctest/doctest\.h": r"$",
}

# C headers of the system. Those of C++ have neither a dot nor a slash.
SYSTEM = re.compile(r"(sys|net|netinet|arpa|linux)/\w+\.h|(dlfcn|fcntl|getopt|grp|ifaddrs|netdb|poll|pthread|pwd|sched|"
                    r"signal|syslog|unistd)\.h")


def sources(*names):
    """The files of the project whose names match one of the patterns, with their paths below its top."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(f for f in folders if f not in (".git", "__pycache__") and not f.startswith("build"))
        for file in sorted(files):
            path = Path(folder, file)
            if any(path.match(name) for name in names):
                yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def cpp():
    return sources("*.cc", "*.h")


def own_text():
    """All that a person writes here: code, scripts, configuration, prose."""
    return sources("*.cc", "*.h", "*.py", "*.md", "*.toml", "*.txt", "*.service", "meson.build", "dev", "run",
                   ".clang-*", ".editorconfig", ".gitignore")


class TidyTest(unittest.TestCase):
    def check(self, faults):
        faults = list(faults)
        if faults:
            self.fail(f"{len(faults)} faults\n" + "\n".join(faults))

    def lines(self, files, pattern, text):
        for path, content in files:
            for number, line in enumerate(content.splitlines(), 1):
                if re.search(pattern, line):
                    yield f"{path}:{number}: {text}: {line.strip()[:80]}"

    def includes(self):
        for path, content in cpp():
            for number, line in enumerate(content.splitlines(), 1):
                found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
                if found:
                    yield path, f"{path}:{number}", found[1], found[2]

    def test_there_is_something_to_check(self):
        self.assertGreater(len(list(cpp())), 10)
        self.assertGreater(len(list(self.includes())), 50)

    def test_includes_follow_the_arrows(self):
        against = set()

        def faults():
            for path, place, quote, header in self.includes():
                if quote != '"':
                    continue
                folder, target = os.path.dirname(path), os.path.dirname(header)
                if not (ROOT / header).is_file():
                    yield f'{place}: "{header}" is no path from the top of the project'
                elif folder.split("/")[0] == "tests" or target in (folder, *ARROWS.get(folder, [])):
                    continue
                elif header in EXCEPTIONS.get(path, ()):
                    against.add((path, header))
                else:
                    yield f"{place}: {folder} may not include {header}"
        self.check(faults())
        allowed = {(path, header) for path, headers in EXCEPTIONS.items() for header in headers}
        self.check(f"{path}: no exception for {header} is needed" for path, header in sorted(allowed - against))

    def test_libraries_are_included_where_they_are_wrapped(self):
        def faults():
            for path, place, quote, header in self.includes():
                if quote == '"' or not re.search(r"[./]", header) or SYSTEM.fullmatch(header):
                    continue
                allowed = [files for name, files in LIBRARIES.items() if re.fullmatch(name, header)]
                if not allowed:
                    yield f"{place}: <{header}> is of no library that is in use here"
                elif not path.startswith("tests/") and not re.fullmatch(allowed[0], path):
                    yield f"{place}: <{header}> may not be included here"
        self.check(faults())

    def test_folders_are_known(self):
        self.check(f"{path}: not in a folder of the house" for path, _ in cpp()
                   if path.split("/")[0] != "tests" and os.path.dirname(path) not in ARROWS)

    def test_headers_are_included_once(self):
        self.check(f"{path}: no #pragma once" for path, text in sources("*.h") if "#pragma once" not in text)

    def test_there_are_no_tabs(self):
        self.check(self.lines(own_text(), "\t", "a tab"))

    def test_lines_are_not_too_long(self):
        files = sources("*.cc", "*.h", "*.py", "meson.build", "dev", "run")
        self.check(self.lines(files, r"^.{121,}", "more than 120 columns"))

    def test_lines_end_where_they_end(self):
        self.check(self.lines(own_text(), r"[ \r]$", "a blank at the end"))
        self.check(f"{path}: no newline at its end" for path, text in own_text() if text and not text.endswith("\n"))

    def test_session_ids_come_from_the_kernel_alone(self):
        files = [(p, t) for p, t in cpp() if p.startswith("session/")]
        self.assertTrue(files)
        self.check(self.lines(files, r"\bs?rand(om)?\s*\(|random_device|mt19937|<random>", "no source of secrets"))

    def test_F_asserts_that_hold_the_design_stay_in_a_release(self):
        files = [(p, t) for p, t in cpp() if not p.startswith("tests/")]
        self.check(self.lines(files, r"(?<!static_)\bassert\s*\(|<cassert>|<assert\.h>", "use check() of net/check.h"))

    def test_F_no_abort_no_exception_leaves_a_callback(self):
        # All of this runs in callbacks of libuv, where an exception ends the process. To be out of memory does so
        # anyway.
        files = [(p, re.sub(r"throw std::bad_alloc\{\};", "", t)) for p, t in cpp() if not p.startswith("tests/")]
        self.check(self.lines(files, r"\bthrow\b", "errors are values"))
        self.check(self.lines(files, r"\.at\([^)]|\bsto(i|l|ll|ul|ull|f|d|ld)\(|\.value\(\)|\bstd::get<|\bany_cast<",
                              "throws where nothing is there"))
        self.check(self.lines(files, r"\bbitset\b", "its index is not checked, or it throws"))

    def test_F_no_abort_json_is_written_in_one_place(self):
        # nlohmann's dump throws at what is not UTF-8 and its parse at what is no JSON, unless told not to.
        files = [(path, text) for path, text in cpp() if not path.startswith("tests/")]
        others = [(path, text) for path, text in files if path != "proxy/service/json_reply.h"]
        self.check(self.lines(others, r"\bdump\s*\(", "use json_reply"))
        dumps = re.findall(r"\bdump\s*\(([^)]*)\)", dict(files)["proxy/service/json_reply.h"])
        self.assertEqual(dumps, ["-1, ' ', false, AnyJson::error_handler_t::replace"])
        self.check(self.lines(files, r"Json::parse\((?!\w+, nullptr, false\))", "throws"))

    def test_nothing_is_left_to_do(self):
        self.check(self.lines(own_text(), r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "left to do"))

    def test_the_project_stands_alone(self):
        outside = r"\.\./sha" r"red|/wo" r"rk\b|\bissue " r"#"
        self.check(self.lines(own_text(), outside, "names something that is not here"))

    def test_every_source_is_built(self):
        def faults():
            listed = {}
            for path, text in sources("meson.build"):
                folder = os.path.dirname(path)
                for name in re.findall(r"'([\w./-]+\.cc)'", text):
                    listed[os.path.normpath(os.path.join(folder, name))] = path
            for path, _ in sources("*.cc"):
                if path not in listed:
                    yield f"{path}: in no meson.build"
            for path, build in listed.items():
                if not (ROOT / path).is_file():
                    yield f"{build}: {path} does not exist"
        self.check(faults())


if __name__ == "__main__":
    unittest.main()
