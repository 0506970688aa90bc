"""The check finds what is wrong in a small repository whose document is broken on purpose, and nothing in a sound one."""

import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import markdown
import runs
import shell
from check import Checker
from project import Project

MAKEFILE = """
SECONDS_EACH := 1
ci: test
test:
\techo $(SECONDS_EACH)
\ttarget/release/tool run --fast
slow:
\tsleep 1000
"""
HELP = """#!/bin/sh
case "$1" in
run) echo "Usage: tool run [--fast] [-n N]" ;;
*) printf 'A tool\\n\\nCommands:\\n  run   Runs.\\n  walk  Walks.\\n' ;;
esac
"""
SOUND = """
# A tool

## What `it` does: all of it

    make test SECONDS_EACH=3

```sh
for n in 1 2; do
    RUST_LOG=debug target/release/tool run --fast -n "$n" > out.txt 2>&1 &
done
cd target/elsewhere && cat ../../src/port.sh
cargo test --release -p tool a_tool_ru -- --nocapture
curl -s "localhost:$(sh src/port.sh)/path"
```

`tool run`, `cargo build -p tool`, `src/main.rs`, [here](#what-it-does-all-of-it), [there](src/port.sh), `a/b`.
"""
# Each line is wrong in one way; the check must say the word behind it.
BROKEN = {
    "    make tests": "make tests",
    "    make test SECONDS=3": "`SECONDS`",
    "    make slow": "make slow",
    "    target/release/tol run": "`tol`",
    "Now `tool jump` it.": "`jump`",
    "Now `tool walk` it.": "`tool walk`",
    "```sh\ntarget/release/tool run --slow\n```": "`--slow`",
    "```sh\nx=$(target/release/tool run -z)\n```": "`-z`",
    "```sh\ntoool run\n```": "`toool`",
    "    cargo test -p tol": "`tol`",
    "    cargo test -p tool a_tool_walks": "`a_tool_walks`",
    "    cargo build --realease": "`--realease`",
    "    cargo bench": "`cargo bench`",
    "See `src/man.rs`.": "`src/man.rs`",
    "See `man.rs`.": "`man.rs`",
    "    sh src/prt.sh": "`src/prt.sh`",
    "See [it](#nowhere).": "`#nowhere`",
    "See [it](src/gone.md).": "`src/gone.md`",
}


class DocsCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name, text in {
            "Makefile": MAKEFILE,
            "Cargo.toml": '[package]\nname = "tool"\nedition = "2024"\n[workspace]\n',
            "Cargo.lock": 'version = 4\n[[package]]\nname = "tool"\nversion = "0.0.0"\n',
            "src/main.rs": "fn main() {}\n#[test]\nfn a_tool_runs() {}\n",
            "src/port.sh": "echo 1\n",
            "target/release/tool": HELP,
            ".gitignore": "target/\n",
        }.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (self.root / "target/release/tool").chmod(0o755)
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)

    def wrong(self, text: str) -> list[str]:
        (self.root / "README.md").write_text(text)
        checker = Checker(Project(self.root), {"tool run": runs.ByHand("a sample")})
        checker.check("README.md")
        return checker.wrong

    def test_a_sound_document_passes(self):
        self.assertEqual(self.wrong(SOUND), [])

    def test_each_fault_is_found_and_named(self):
        for text, named in BROKEN.items():
            with self.subTest(text):
                wrong = self.wrong(f"{SOUND}\n{text}\n")
                self.assertTrue(any(named in line for line in wrong), wrong)
                self.assertTrue(all(line.startswith("README.md:") for line in wrong), wrong)

    def test_a_marked_block_is_known_by_its_name(self):
        document = markdown.parse("1. One:\n\n   <!-- run: it -->\n   ```sh\n   a \\\n       b\n   ```\n")
        self.assertEqual([(block.run, block.line, block.text) for block in document.blocks], [("it", 5, "a \\\n    b")])

    def test_keywords_assignments_redirections_and_comments_are_not_commands(self):
        script = "if a 'x y' >&2; then B=1 c --d=\"e\" # f\nfi; until g <h; do sleep 1; done | i $(j k)"
        self.assertEqual(
            shell.commands(script),
            [["a", "x y"], ["c", "--d=e"], ["g"], ["sleep", "1"], ["j", "k"], ["i", "$(j k)"]],
        )

    def test_a_record_of_another_model_fails_the_quickstart(self):
        output = 'HTTP/1.1 200 OK\nx-seqroute-model: small\nx-mock-model: %s\n\n{"chosen":"small",'
        output += '"outcome":"settled","policy":"p","charged_nano_usd":1}\n'
        runs.check_quickstart(output % "small")
        with self.assertRaises(AssertionError):
            runs.check_quickstart(output % "large")
        with self.assertRaises(AssertionError):
            runs.check_quickstart(output.replace("settled", "refunded") % "small")

    def test_a_script_that_fails_is_reported_with_its_output(self):
        with self.assertRaisesRegex(RuntimeError, "(?s)broken: status 3.*before"):
            runs.run_script("broken", "echo before; (exit 3); echo after", self.root, {})

    def test_what_a_script_leaves_in_the_background_ends_with_it(self):
        pid = int(runs.run_script("sound", "sleep 600 & echo $!", self.root, {}))
        deadline = time.monotonic() + 10
        while is_running(pid):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_ports_are_replaced_as_whole_numbers(self):
        self.assertEqual(runs._replace("8001 18001 /etc/x", {"8001": "9", "/etc": "/tmp"}), "9 18001 /tmp/x")


def is_running(pid: int) -> bool:
    """Whether the process exists and is more than an entry that nobody has collected yet."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


if __name__ == "__main__":
    unittest.main()
