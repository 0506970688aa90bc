"""Runs what the documents show: marked blocks, and long commands in a short form."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
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


SIMULATE = "target/release/seqroute simulate --sessions 60"
LEARN = "--models {dir}/models.json --data {dir}/train.jsonl.gz"
COVERED = {
    "mock-llm": InBlock("quickstart"),
    "seqroute deploy": InBlock("quickstart"),
    "demo": Short("target/release/demo --sessions 2 --out {dir}/demo && test -s {dir}/demo/quality.svg"),
    "load": Short("target/release/load --sessions 6 --turns 40"),
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
    "seqroute relabel": Short(f"target/release/seqroute relabel --stats {LEARN}"),
    "seqroute train": Short(
        f"target/release/seqroute train {LEARN} --valid {{dir}}/valid.jsonl.gz --config {{dir}}/train.toml"
        " --out {dir}/policy.nnef.tar"
    ),
    "seqroute crossvalidate": Short(
        f"target/release/seqroute crossvalidate {LEARN} --folds 2 --config {{dir}}/train.toml"
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
        " --out {dir}/ingested.jsonl.gz"
    ),
    "cargo bench": ByHand("measures for minutes; `make clippy` compiles it"),
    "make bench-core": ByHand("measures for minutes; `make clippy` compiles it"),
    "make fuzz": ByHand("ten minutes for each target; `make clippy` compiles them"),
    "make advisories": ByHand("needs the host of the advisory database"),
    "make conformance": ByHand("needs modules of other projects; `make test` runs its other tests"),
    "make results": ByHand("repeats all experiments; its commands run here in short forms"),
    "make check": ByHand("a part of `make test`"),
    "make wasm-dev": ByHand("`make wasm` with another profile"),
    "make clean": ByHand("would remove what the other checks need"),
}


class Runner:
    """Runs scripts at the repository's root and keeps what they write in a scratch folder."""

    def __init__(self, root: Path, scratch: Path):
        self.root, self.scratch = root, scratch
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
        self._run(command, form.script.replace("{dir}", str(self.scratch)))

    def block(self, name: str, script: str) -> str:
        """Runs a marked block and returns what it prints."""
        folder = self.scratch / name
        folder.mkdir()
        moved = {SHIPPED_CONFIG: str(folder / "envoy.yaml")} | dict(zip(PORTS, _free_ports(len(PORTS))))
        match name:
            case "quickstart":
                moved |= {"$PWD/target/quickstart": str(folder / "run"), "target/quickstart": str(folder / "run")}
            case "install":
                moved |= {"/etc/seqroute": str(folder / "etc"), "/var/log/seqroute": str(folder / "log")}
            case _:
                raise ValueError(f"no rules for a block named `{name}`")
        for text in moved:
            if text not in script and text not in (self.root / SHIPPED_CONFIG).read_text():
                raise ValueError(f"block `{name}` was expected to use `{text}`")
        (folder / "envoy.yaml").write_text(_replace((self.root / SHIPPED_CONFIG).read_text(), moved))
        return self._run(name, _replace(script, moved))

    def keep_records(self, name: str) -> None:
        """Gives the decision records of a block to the short forms."""
        shutil.copy(self.scratch / name / "run/decisions.jsonl", self.scratch)

    def _run(self, what: str, script: str) -> str:
        """Runs a script in a session of its own, so that what it left in the background ends with it."""
        log = self.scratch / "output"
        with log.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.root,
                env=self.environment,
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
        if status != 0:
            raise RuntimeError(f"{what}: status {status}\n{script}\n{log.read_text()}")
        return log.read_text()


def check_quickstart(output: str) -> dict:
    """The turn was routed, answered by the model that the filter chose, and recorded. Returns the record."""
    assert re.search(r"^HTTP/1.1 200", output, re.MULTILINE), output
    header = lambda name: re.search(rf"^{name}: (\S+)", output, re.MULTILINE)
    chosen, served = header("x-seqroute-model"), header("x-mock-model")
    assert chosen and served and chosen[1] == served[1], output
    record = json.loads(output.strip().splitlines()[-1])
    assert record["chosen"] == chosen[1] and record["outcome"] == "settled", record
    assert record["policy"] and record["charged_nano_usd"] > 0, record
    return record


def check_install(output: str) -> None:
    """Envoy accepted the file, became live and loaded the filter."""
    assert "LIVE" in output, output
    assert re.search(r"http_filter\.seqroute\.update_success: [1-9]", output), output


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
