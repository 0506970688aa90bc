"""Compares what the documents say with what the repository offers."""

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import markdown
import shell
from project import Project

# Programs of others that documents may use.
TOOLS = set("cat cd cp curl envoy export git grep kill mkdir mv perf python3 rm rustup sed sh sleep".split())
# File names with these endings are names of our own files, also where they stand without a folder.
SOURCE_ENDINGS = (".rs", ".sh", ".py", ".md")
# Paths in other repositories, by the document that names them.
NOT_OURS = {
    "harness/CONFORMANCE.md": {"src/hostcalls.rs", "src/exports.cc", "src/wasm.cc"},
    "harness/README.md": {"tests/plugin.rs"},
}
# What `make ci` runs of cargo; other commands need an entry among the covered ones.
CARGO_BUILDS = {"build", "check", "clippy", "doc", "fmt", "install", "test"}
VALUE_OPTIONS = set(
    "-p --package --bin --example --test --bench --manifest-path --target --target-dir --profile --features".split()
)
KIND_OPTIONS = {"--bin": "bin", "--example": "example", "--test": "test", "--bench": "bench"}


@dataclass
class Scope:
    """Where a command stands. A strict one knows every program that it may use."""

    place: str
    document: str
    strict: bool = False
    # Folders that it changes into.
    folders: list[str] = field(default_factory=list)


class Checker:
    """Checks one document after the other and collects what is wrong, one line each."""

    def __init__(self, project: Project, covered: dict[str, object]):
        self.project = project
        # Commands that a test or this check runs.
        self.covered = covered
        self.mentioned: set[str] = set()
        self.wrong: list[str] = []
        self.documents: dict[str, markdown.Document] = {}

    def check(self, name: str) -> None:
        """Checks the document with this path, relative to the root."""
        document = self._document(name)
        for block in document.blocks:
            if block.language in ("", "sh", "bash", "console"):
                scope = Scope(f"{name}:{block.line}", name, strict=block.language != "")
                for words in shell.commands(block.text):
                    self._command(scope, words)
        for line, span in document.spans:
            scope = Scope(f"{name}:{line}", name)
            for words in shell.commands(span) if " " in span else []:
                self._command(scope, words)
            self._path(scope, span)
        for line, target in document.links:
            self._link(f"{name}:{line}", name, target)

    def scripts(self) -> dict[str, str]:
        """The marked blocks by name; blocks of one name belong together."""
        scripts: dict[str, str] = {}
        for name in sorted(self.documents):
            for block in self.documents[name].blocks:
                if block.run:
                    scripts[block.run] = scripts.get(block.run, "") + block.text + "\n"
        return scripts

    def _document(self, name: str) -> markdown.Document:
        if name not in self.documents:
            self.documents[name] = markdown.parse((self.project.root / name).read_text())
        return self.documents[name]

    def _command(self, scope: Scope, words: list[str]) -> None:
        program, arguments = words[0], words[1:]
        built = re.fullmatch(r"target/release/(examples/)?([\w-]+)", program)
        binary = built[2] if built else program
        if program == "make":
            self._make(scope, arguments)
        elif program == "cd":
            scope.folders += arguments
        elif program == "cargo":
            self._cargo(scope.place, arguments)
        elif built and built[1]:
            if binary not in self.project.targets("example"):
                self.wrong.append(f"{scope.place}: no example `{binary}`")
        elif binary in self.project.targets("bin"):
            self._binary(scope.place, binary, arguments)
        elif built:
            self.wrong.append(f"{scope.place}: no program `{binary}`")
        elif scope.strict and program not in TOOLS and not program.startswith("$("):
            self.wrong.append(f"{scope.place}: unknown program `{program}`")
        for argument in arguments:
            self._path(scope, argument.rpartition("=")[2])

    def _make(self, scope: Scope, arguments: list[str]) -> None:
        for argument in arguments:
            variable, equals, _ = argument.partition("=")
            if equals:
                if variable not in self.project.make_variables():
                    self.wrong.append(f"{scope.place}: the Makefile has no variable `{variable}`")
            elif argument not in self.project.make_rules():
                self.wrong.append(f"{scope.place}: no target `make {argument}`")
            elif f"make {argument}" not in self.mentioned:
                self.mentioned.add(f"make {argument}")
                self._recipe(f"{scope.place}: make {argument}", argument)

    def _recipe(self, place: str, target: str) -> None:
        """Checks the commands of a make target, and that something runs it or what it runs."""
        recipe = shell.commands(self.project.recipe(target))
        scope = Scope(place, "Makefile")
        for words in recipe:
            self._command(scope, words)
        runs_program = any(words[0].startswith("target/release/") for words in recipe)
        if not runs_program and target not in self.project.ci_targets() and f"make {target}" not in self.covered:
            self.wrong.append(f"{place}: neither `make ci` nor a test runs it")

    def _cargo(self, place: str, arguments: list[str]) -> None:
        if not arguments or arguments[0].startswith("-"):
            return
        command, arguments = arguments[0], arguments[1:]
        if command not in CARGO_BUILDS and f"cargo {command}" not in self.covered:
            self.wrong.append(f"{place}: nothing runs `cargo {command}`")
            return
        own = arguments[: arguments.index("--")] if "--" in arguments else arguments
        if command in CARGO_BUILDS:
            documented_in = "check" if command == "clippy" else command
            self._options(place, f"cargo {command}", self.project.help("cargo", documented_in), own)
        previous = ""
        for argument in own:
            if previous in ("-p", "--package") and argument not in self.project.packages:
                self.wrong.append(f"{place}: no package `{argument}`")
            kind = KIND_OPTIONS.get(previous)
            if kind and argument not in self.project.targets(kind):
                self.wrong.append(f"{place}: no {kind} `{argument}`")
            is_filter = command == "test" and argument[0] != "-" and previous not in VALUE_OPTIONS
            if is_filter and argument not in self.project.test_names:
                self.wrong.append(f"{place}: no test is named like `{argument}`")
            previous = argument

    def _binary(self, place: str, binary: str, arguments: list[str]) -> None:
        command, path = binary, [self.project.program(binary)]
        subcommands = self.project.subcommands(binary)
        if subcommands:
            if not arguments or arguments[0].startswith("-"):
                return
            if arguments[0] not in subcommands:
                self.wrong.append(f"{place}: `{binary}` has no command `{arguments[0]}`")
                return
            command, path = f"{binary} {arguments[0]}", [*path, arguments[0]]
        self._options(place, command, self.project.help(*path), arguments)
        self.mentioned.add(command)
        if command not in self.covered:
            self.wrong.append(f"{place}: no test and no short form runs `{command}`")

    def _options(self, place: str, command: str, text: str, arguments: list[str]) -> None:
        for argument in arguments:
            option = re.match(r"--[a-z][\w-]*|-[a-zA-Z]$", argument)
            if option and not re.search(rf"(?<![\w-]){option[0]}(?![\w-])", text):
                self.wrong.append(f"{place}: `{command}` has no option `{option[0]}`")

    def _path(self, scope: Scope, text: str) -> None:
        """A path of ours must exist; anything else is left alone."""
        path = text.rstrip("/")
        is_path = re.fullmatch(r"[\w.-]+(/[\w.-]+)*", path) and not path.startswith("target")
        if not is_path or path in NOT_OURS.get(scope.document, ()):
            return
        known = self.project.files | self.project.folders
        bases = [str(PurePosixPath(scope.document).parent), "", *scope.folders]
        exists = lambda path: any(posixpath.normpath(posixpath.join(base, path)) in known for base in bases)
        if exists(path):
            return
        first = path.split("/")[0]
        if "/" in path and (first == ".." or exists(first)):
            self.wrong.append(f"{scope.place}: no file or folder `{text}`")
        elif path.endswith(SOURCE_ENDINGS) and not any(f"/{name}".endswith(f"/{path}") for name in known):
            self.wrong.append(f"{scope.place}: no file is named `{text}`")

    def _link(self, place: str, document: str, target: str) -> None:
        if re.match(r"[a-z]+:", target):
            return
        path, _, anchor = target.partition("#")
        folder = str(PurePosixPath(document).parent)
        file = posixpath.normpath(posixpath.join(folder, path)) if path else document
        if file not in self.project.files | self.project.folders:
            self.wrong.append(f"{place}: the link leads to `{target}`, which does not exist")
        elif anchor and anchor not in self._document(file).anchors:
            self.wrong.append(f"{place}: `{file}` has no heading for `#{anchor}`")
