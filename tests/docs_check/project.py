"""What the repository really offers: make targets, cargo packages, programs with their options, files."""

import functools
import json
import re
import subprocess
from pathlib import Path


class Project:
    """A repository with its programs built (`cargo build --release --workspace --bins`)."""

    def __init__(self, root: Path):
        self.root = root
        self.makefile = (root / "Makefile").read_text()

    @functools.cached_property
    def files(self) -> set[str]:
        """Files that git tracks or would add, relative to the root."""
        listed = self._run("git", "ls-files", "--cached", "--others", "--exclude-standard")
        return {name for name in listed.splitlines() if (self.root / name).exists()}

    @functools.cached_property
    def folders(self) -> set[str]:
        """Folders of those files."""
        return {str(parent) for name in self.files for parent in Path(name).parents}

    @functools.cached_property
    def packages(self) -> dict[str, set[tuple[str, str]]]:
        """The workspace's packages, each with its targets as (kind, name)."""
        metadata = json.loads(self._run("cargo", "metadata", "--no-deps", "--format-version", "1", "--offline"))
        kinds = lambda target: [(kind, target["name"]) for kind in target["kind"]]
        return {
            package["name"]: {pair for target in package["targets"] for pair in kinds(target)}
            for package in metadata["packages"]
        }

    def targets(self, kind: str) -> set[str]:
        """Names of all targets of a kind: `bin`, `test`, `example`, `bench`."""
        return {name for pairs in self.packages.values() for found, name in pairs if found == kind}

    @functools.cached_property
    def test_names(self) -> str:
        """All names of test functions, one per line."""
        sources = [self.root / name for name in self.files if name.endswith(".rs")]
        functions = [re.findall(r"\bfn (\w+)\(", source.read_text()) for source in sources]
        return "\n".join(name for names in functions for name in names)

    def make_rules(self) -> dict[str, list[str]]:
        """Prerequisites of every target of the Makefile."""
        rules = re.findall(r"^([a-z][\w-]*):(?!=)[ \t]*(.*)$", self.makefile, re.MULTILINE)
        return {target: prerequisites.split() for target, prerequisites in rules}

    def make_variables(self) -> set[str]:
        """Variables that the Makefile reads."""
        return set(re.findall(r"\$\((?:if )?([A-Z_]+)\b", self.makefile))

    def ci_targets(self) -> set[str]:
        """What `make ci` makes, itself included."""
        rules, reached, waiting = self.make_rules(), set(), ["ci"]
        while waiting:
            target = waiting.pop()
            if target not in reached:
                reached.add(target)
                waiting += rules.get(target, [])
        return reached

    def recipe(self, target: str) -> str:
        """The commands that `make TARGET` would run."""
        return self._run("make", "--dry-run", target)

    @functools.cache
    def help(self, *command: str) -> str:
        """What a program of the workspace or cargo says about a command."""
        return self._run(*command, "--help")

    def program(self, name: str) -> str:
        """Path of a built program of the workspace."""
        return str(self.root / "target/release" / name)

    def subcommands(self, name: str) -> set[str]:
        """The commands of a program; empty if it has only options."""
        _, _, listed = self.help(self.program(name)).partition("\nCommands:\n")
        return set(re.findall(r"^  ([a-z][\w-]*)", listed, re.MULTILINE)) - {"help"}

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"`{' '.join(command)}` fails: {done.stderr.strip()}")
        return done.stdout
