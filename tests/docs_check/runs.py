"""Runs what the documents show: marked blocks, and long commands in a short form."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 300
# Ports of `envoy/envoy.yaml` and of the blocks; each run gets free ones in their place.
PORTS = ("10000", "9901", "8001", "8002", "8003")
SHIPPED_CONFIG = "envoy/envoy.yaml"


@dataclass(frozen=True)
class Short:
    """A short form of a long command. `{dir}` is a scratch folder that all short forms share, in this order."""

    script: str


@dataclass(frozen=True)
class Tested:
    """A command that a test runs: the file, and a text in it that shows so."""

    file: str
    text: str


@dataclass(frozen=True)
class InBlock:
    """A command that the marked block of this name runs."""

    name: str


@dataclass(frozen=True)
class ByHand:
    """A command that nothing here runs, and why."""

    reason: str


BUILD = "cargo build --release --workspace"
SIMULATE = "target/release/seqroute simulate --sessions 60"
LEARN = "--models {dir}/models.json --data {dir}/train.jsonl.gz"
COVERED = {
    "mock-llm": InBlock("quickstart"),
    "seqroute deploy": InBlock("quickstart"),
    "demo": Short("target/release/demo --sessions 2 --out {dir}/demo && test -s {dir}/demo/quality.svg"),
    "load": Short("target/release/load --sessions 6 --turns 40"),
    "attack": Tested("tests/tests/envoy/attack.rs", "Mix::EachVariant"),
    "sdk": Tested("tests/tests/envoy/sdk.rs", 'run("")'),
    "bench": Short("target/release/bench --rounds 1 --seconds 0.2"),
    "fuzz-module": Short("target/release/fuzz-module --requests 300"),
    "seqroute-harness bench": Tested("harness/command/tests/measuring.rs", '"bench"'),
    "seqroute-harness soak": Tested("harness/command/tests/measuring.rs", '"soak"'),
    "seqroute-harness replay": Tested("harness/command/tests/replay.rs", '"replay"'),
    "seqroute-harness conformance": Tested("harness/command/tests/conformance.rs", '"conformance"'),
    "seqroute simulate": Short(
        f"{SIMULATE} --seed 1 --out {{dir}}/train.jsonl.gz && {SIMULATE} --seed 2 --out {{dir}}/valid.jsonl.gz"
    ),
    "seqroute models": Short(f"target/release/seqroute models {LEARN}"),
    "seqroute train": Short(
        f"target/release/seqroute train {LEARN} --valid {{dir}}/valid.jsonl.gz --config {{dir}}/train.toml"
        " --out {dir}/policy.nnef.tar"
    ),
    "seqroute crossvalidate": Short(
        "target/release/seqroute crossvalidate --models {dir}/models.json --data {dir}/prompts.jsonl --folds 2"
        " --config {dir}/train.toml"
    ),
    "seqroute ablate": Short(
        f"target/release/seqroute ablate {LEARN} --valid {{dir}}/valid.jsonl.gz --test {{dir}}/valid.jsonl.gz"
        " --config {dir}/train.toml --steps 10 --out {dir}/ablations"
    ),
    "seqroute evaluate": Short(
        f"target/release/seqroute evaluate {LEARN} --policy short={{dir}}/policy.nnef.tar --resamples 20"
    ),
    "seqroute inspect": Short("target/release/seqroute inspect {dir}/policy.nnef.tar"),
    "seqroute ingest": Short(
        "target/release/seqroute ingest --models {dir}/models.json --records {dir}/decisions.jsonl"
        " --feedback {dir}/feedback.jsonl --out {dir}/ingested.jsonl.gz"
    ),
    "cargo bench": ByHand("measures for minutes; `make clippy` compiles it"),
    "make tokens": ByHand("builds vocabularies for minutes; `make clippy` compiles it"),
    "make bench-core": ByHand("measures for minutes; `make clippy` compiles it"),
    "make fuzz": ByHand("ten minutes for each target; `make clippy` compiles them"),
    "make advisories": ByHand("needs the host of the advisory database"),
    "make conformance": ByHand("needs modules of other projects; `make test` runs its other tests"),
    "make results": ByHand("repeats all experiments; its commands run here in short forms"),
    "make check": ByHand("a part of `make test`"),
    "make wasm-dev": ByHand("`make wasm` with another profile"),
    "make clean": ByHand("would remove what the other checks need"),
}


@dataclass(frozen=True)
class Rules:
    """How a marked block is run: what it is moved or shortened to, and what its output must show.

    In the replacements `{dir}` is the block's own folder, directly below `target/`, relative to the root; `{absolute}` is
    its absolute path, and `{scratch}` the scratch folder.
    """

    moved: dict[str, str]
    check: Callable[[str], object]


class Runner:
    """Runs scripts at the repository's root and keeps what they write in folders of its own below `target/`."""

    def __init__(self, root: Path, scratch: Path):
        self.root, self.scratch = root, scratch
        self.folders: dict[str, Path] = {}
        models = json.loads((root / "envoy/plugin.json").read_text())["models"]
        (scratch / "models.json").write_text(json.dumps(models))
        (scratch / "train.toml").write_text("[fit]\nsteps = 20\nbatch = 32\n")
        programs = scratch / "bin"
        programs.mkdir()
        fetched = subprocess.run(["sh", "envoy/get-envoy.sh"], cwd=root, check=True, stdout=subprocess.PIPE, text=True)
        # Several Envoys on one machine must not share memory.
        _program(programs / "envoy", f'exec "{fetched.stdout.strip()}" --disable-hot-restart "$@"')
        _program(programs / "sudo", 'exec "$@"')
        self.environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "no_proxy": "localhost,127.0.0.1",
            "CARGO_TERM_QUIET": "true",
        }

    def short(self, command: str, form: Short) -> None:
        """Runs a short form; raises if it fails."""
        if command == "seqroute ingest":
            shutil.copy(self.folders["quickstart"] / "decisions.jsonl", self.scratch)
            _judge(self.scratch / "decisions.jsonl", self.scratch / "feedback.jsonl")
        if command == "seqroute crossvalidate":
            _name_prompts(self.scratch / "train.jsonl.gz", self.scratch / "prompts.jsonl")
        self._run(command, form.script.replace("{dir}", str(self.scratch)))

    def block(self, name: str, script: str) -> None:
        """Runs a marked block; raises if it fails or its output is not as it must be."""
        rules = BLOCKS[name]
        folder = self.folders[name] = Path(f"{self.scratch}-{name}")
        folder.mkdir()
        names = {"dir": folder.relative_to(self.root), "absolute": folder, "scratch": self.scratch}
        moved = {text: to.format(**names) for text, to in rules.moved.items()}
        unused = [text for text in moved if text not in script]
        assert not unused, f"block `{name}` does not contain {unused}"
        ports = dict(zip(PORTS, _free_ports(len(PORTS))))
        config = folder / "shipped" / "envoy.yaml"
        config.parent.mkdir()
        config.write_text(_replace((self.root / SHIPPED_CONFIG).read_text(), moved | ports))
        # `make docs-check` has built the workspace with its tests; without them shared dependencies would be built again,
        # with fewer features.
        script = re.sub(r"cargo build --release --workspace( --bin [\w-]+)+", f"{BUILD} --bins --tests", script)
        rules.check(self._run(name, _replace(script, moved | ports | {SHIPPED_CONFIG: str(config)})))

    def clean(self) -> None:
        """Removes the blocks' folders."""
        for folder in self.folders.values():
            shutil.rmtree(folder)

    def _run(self, what: str, script: str) -> str:
        return run_script(what, script, self.root, self.environment)


def _name_prompts(simulated: Path, named: Path) -> None:
    """Gives the turns of simulated sessions prompts, which they share as real data does: folds are made of prompts."""
    with gzip.open(simulated, "rt") as lines, named.open("w") as out:
        for number, line in enumerate(lines):
            session = json.loads(line)
            for index, turn in enumerate(session["turns"]):
                turn["prompt_id"] = f"prompt-{(number + index) % 40}"
            out.write(json.dumps(session) + "\n")


def _judge(records: Path, feedback: Path) -> None:
    """Writes feedback of quality 1 for every turn."""
    with feedback.open("w") as out:
        for line in records.read_text().splitlines():
            record = json.loads(line)
            out.write(json.dumps({"session": record["session"], "turn": record["turn"], "quality": 1.0}) + "\n")


def run_script(what: str, script: str, folder: Path, environment: dict[str, str]) -> str:
    """Runs a script in a session of its own, so that what it left in the background ends with it."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            status = process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            status = f"still running after {TIMEOUT_S} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        text = output.read()
    if status != 0:
        raise RuntimeError(f"{what}: status {status}\n{script}\n{text}")
    return text


def check_quickstart(output: str) -> None:
    """The turn was routed, answered by the model that the filter chose, and recorded."""
    assert re.search(r"^HTTP/1.1 200", output, re.MULTILINE), output
    header = lambda name: re.search(rf"^{name}: (\S+)", output, re.MULTILINE)
    chosen, served = header("x-seqroute-model"), header("x-mock-model")
    assert chosen and served and chosen[1] == served[1], output
    record = json.loads(output.strip().splitlines()[-1])
    assert record["chosen"] == chosen[1] and record["outcome"] == "settled", record
    assert record["policy"] and record["charged_nano_usd"] > 0, record


def check_install(output: str) -> None:
    """Envoy became live and loaded the filter."""
    assert "LIVE" in output, output
    assert re.search(r"http_filter\.seqroute\.update_success: [1-9]", output), output


def check_first_policy(output: str) -> None:
    """A policy was trained, evaluated and deployed."""
    assert re.search(r"seqroute\.json: version [0-9a-f]{16}, policy ", output), output


BLOCKS = {
    "quickstart": Rules({"target/quickstart": "{dir}"}, check_quickstart),
    "install": Rules({"/etc/seqroute": "{absolute}/etc", "/var/log/seqroute": "{absolute}/log"}, check_install),
    "first-policy": Rules(
        {
            "target/first-policy": "{dir}",
            "--sessions 4000": "--sessions 60",
            "--sessions 400": "--sessions 40",
            "--name first": "--name first --config {scratch}/train.toml",
        },
        check_first_policy,
    ),
}


def _program(file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


def _replace(text: str, moved: dict[str, str]) -> str:
    """Replaces names and ports; a port is never a part of a longer number."""
    names = sorted(moved, key=len, reverse=True)
    pattern = "|".join(rf"(?<!\d){re.escape(name)}(?!\d)" for name in names)
    return re.sub(pattern, lambda match: moved[match[0]], text)


def _free_ports(count: int) -> list[str]:
    """Ports of loopback that nobody uses now."""
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [str(one.getsockname()[1]) for one in sockets]
