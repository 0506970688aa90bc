"""Runs the experiments of `results.md` and writes that page.

    make results                    # what needs nothing from outside the repository
    make results DATA=some/folder   # the sets of real outcomes in that folder too
    python3 trainer/docs/results.py --only knowledge --data some/folder

Each experiment is a list of shell commands whose last one leaves an evaluation report in JSON. The page shows the
commands that ran and tables of that report, and nothing else: no figure is typed in. A section that is not run keeps its
former text, commit included. Needs `target/release/seqroute` and Python's standard library.
"""

import argparse
import json
import os
import pathlib
import subprocess
import textwrap
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "trainer/docs/results.md"
# The code that the figures depend on: a report is stamped with the last commit that touched any of it.
SOURCES = ["trainer/*.rs", "filter/core/*.rs", "envoy/policy", "Cargo.lock"]

INTRODUCTION = """# Results

Written by `make results` (`trainer/docs/results.py`); edit that, not this page. Terms, rows and metrics are explained in
[method.md](method.md), conclusions and failures are in [notes.md](notes.md), and figures of earlier commits that this
command does not make again are in [recorded.md](recorded.md).

Commands run in the root of the repository with `target/release` in the `PATH`; `D` is the folder of the data. Budgets
are percent of the mean cost of a session that the most expensive model answers alone. A star marks a difference whose
95 % interval, paired by session, does not contain 0. The same commit gives the same figures on the same kind of CPU.
"""


@dataclass
class Experiment:
    """One section of the page."""

    name: str
    title: str
    text: str
    commands: str
    tables: list
    needs_data: bool = False
    report: str = ""

    def folder(self):
        return ROOT / "target/results" / self.name

    def report_path(self):
        return ROOT / (self.report or f"target/results/{self.name}/report.json")


def shares(report):
    """The budgets, each once, as shares of the reference."""
    return list(dict.fromkeys(line["budget_share"] for line in report["measurements"]))


def table(report, title, names, cell):
    """A table with a row per name and a column per budget; a name without any cell is left out."""
    budgets = shares(report)
    head = ["", *(f"{100 * share:.4g} %" for share in budgets)]
    rows = [[name, *(cell(name, share) for share in budgets)] for name in names]
    rows = [row for row in rows if any(row[1:])]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    line = lambda row: "| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |"
    rule = "|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|"
    return "\n".join([f"{title}:", "", line(head), rule, *map(line, rows)]) if rows else ""


def names(report, without=()):
    """The rows, in the order of the report."""
    return list(dict.fromkeys(line["name"] for line in report["measurements"] if line["kind"] not in without))


def measured(title, show, without=()):
    """A table of one field of the measurements."""

    def of(report):
        lines = {(line["name"], line["budget_share"]): line for line in report["measurements"]}
        return table(report, title, names(report, without), lambda *key: show(lines[key]) if key in lines else "")

    return of


def differences(report):
    """The first policy minus every other row, in thousandths."""
    found = {(line["other"], line["budget_share"]): line["difference"] for line in report["comparisons"]}

    def cell(*key):
        if key not in found:
            return ""
        sure = found[key]["low"] > 0 or found[key]["high"] < 0
        return f"{1000 * found[key]['value']:+.1f}{'*' if sure else ' '}"

    title = f"Quality per turn of `{names(report)[0]}` minus that of each row, in thousandths"
    return table(report, title, names(report), cell)


def savings(report):
    """How much less the first policy spends at the quality of another."""
    found = {(line["other"], line["budget_share"]): line["reduction"] for line in report["savings"]}
    cell = lambda *key: "" if found.get(key) is None else f"{100 * found[key]:.1f}"
    first = names(report)[0]
    title = f"Cost that `{first}` saves at the quality of each row, % (empty where it does not reach that quality)"
    return table(report, title, names(report, without=["bound"]), cell)


def slopes(report):
    lines = [f"| {probe['name']} | {probe['slope_per_doubling']:+.3f} |" for probe in report["probes"]]
    title = "Slope of the strongest model's share per doubling of the money left"
    return "\n".join([f"{title}:", "", "| | |", "|---|---:|", *lines])


def percent(field):
    return lambda line: f"{100 * line[field]:.1f}"


QUALITY = measured("Quality per turn", lambda line: f"{line['quality']['value']:.4f}")
SPENT = measured("Spent, % of the reference", percent("cost_share"))
BANKRUPT = measured("Bankrupt sessions, %", percent("bankrupt_share"), without=["bound"])
AVOIDABLE = measured("Avoidably bankrupt sessions, %", percent("avoidable_bankrupt_share"), without=["bound"])
RETURN = measured("Return per session", lambda line: f"{line['return_per_session']:.3f}", without=["bound"])
COST = measured("Mean cost of a session, nano-USD", lambda line: f"{1e9 * line['cost_per_session_usd']:.0f}")

EXPERIMENTS = [
    Experiment(
        name="simulated",
        title="Simulated sessions",
        text="`shipped` is the policy in `envoy/policy`, trained on other sessions of the simulator than those it is "
        "tested on, `bc` is behaviour cloning on the sessions of the first command. This shows the mechanism, not real traffic.",
        commands="""
mkdir -p target/results/simulated && cd target/results/simulated
seqroute simulate --sessions 10000 --seed 1 --out train.jsonl.gz
seqroute simulate --sessions 1000 --seed 2 --out valid.jsonl.gz
seqroute simulate --sessions 1000 --seed 3 --out test.jsonl.gz
models=../../../trainer/examples/tiers.models.json
echo 'algorithm = "bc"' > bc.toml
seqroute train --data train.jsonl.gz --valid valid.jsonl.gz --models $models --config bc.toml --name bc \\
  --out bc.nnef.tar
seqroute evaluate --policy shipped=../../../envoy/policy/default.nnef.tar --policy bc=bc.nnef.tar --models $models \\
  --data test.jsonl.gz --train train.jsonl.gz --tune valid.jsonl.gz --sweep-budgets 30 --json report.json
""",
        tables=[QUALITY, differences, AVOIDABLE, SPENT],
    ),
    Experiment(
        name="paper",
        title="The paper's experiment",
        text="`ours` has the default settings, `cql` and `bc` are trained as in the paper ([method.md](method.md)), "
        "`cql@2.5` is `cql` with the paper's λ. The budgets are the paper's, in percent of the reference. The paper's own "
        "figures are in [recorded.md](recorded.md).",
        commands="make paper-check",
        tables=[QUALITY, COST, BANKRUPT, RETURN, slopes],
        report="target/paper/report.json",
    ),
    Experiment(
        name="knowledge",
        title="Knowledge",
        text="MMLU and GSM8K answers of two models. `ours` is the mean of three seeds of the default settings, `bc` of "
        "three seeds of behaviour cloning; `guard 0.9` and `guard 0.95` are one seed each behind that guard.",
        commands="""
mkdir -p target/results/knowledge && cd target/results/knowledge
K="--models ../../../trainer/examples/knowledge.models.json --prompts $D/prompts_knowledge_train.jsonl.gz \\
  --prompts $D/prompts_knowledge_valid.jsonl.gz"
SETS="--data $D/knowledge_train.jsonl.gz --valid $D/knowledge_valid.jsonl.gz"
echo 'algorithm = "bc"' > bc.toml
for q in 0.9 0.95; do printf '[guard]\\nquantile = %s\\n' $q > guard$q.toml; done
for s in 1 2 3; do seqroute train $K $SETS --seed $s --name ours --out ours$s.nnef.tar; done
for s in 1 2 3; do seqroute train $K $SETS --seed $s --config bc.toml --name bc --out bc$s.nnef.tar; done
for q in 0.9 0.95; do seqroute train $K $SETS --config guard$q.toml --name guard --out guard$q.nnef.tar; done
seqroute evaluate $K --prompts $D/prompts_knowledge_test.jsonl.gz \\
  --policy ours=ours1.nnef.tar,ours2.nnef.tar,ours3.nnef.tar --policy bc=bc1.nnef.tar,bc2.nnef.tar,bc3.nnef.tar \\
  --ablation "guard 0.9"=guard0.9.nnef.tar --ablation "guard 0.95"=guard0.95.nnef.tar \\
  --data $D/knowledge_test.jsonl.gz --train $D/knowledge_train.jsonl.gz --tune $D/knowledge_valid.jsonl.gz --json report.json
""",
        tables=[QUALITY, differences, AVOIDABLE, savings],
        needs_data=True,
    ),
    Experiment(
        name="mtbench",
        title="MT-bench",
        text="Scores of five models on MT-bench questions. `ours` is `examples/few_prompts.toml`, the mean of three seeds, "
        "last checkpoint. Everything that is fitted or tuned uses the training questions.",
        commands="""
mkdir -p target/results/mtbench && cd target/results/mtbench
T="--models ../../../trainer/examples/mtbench.models.json --prompts $D/prompts_mtbench_train.jsonl.gz"
for s in 1 2 3; do seqroute train $T --data $D/mtbench_train.jsonl.gz --config ../../../trainer/examples/few_prompts.toml \\
  --seed $s --name ours --out ours$s.nnef.tar; done
seqroute evaluate $T --prompts $D/prompts_mtbench_test.jsonl.gz \\
  --policy ours=ours1.nnef.tar,ours2.nnef.tar,ours3.nnef.tar --data $D/mtbench_test.jsonl.gz \\
  --train $D/mtbench_train.jsonl.gz --tune $D/mtbench_train.jsonl.gz --sweep-budgets 30 --json report.json
""",
        tables=[QUALITY, differences, AVOIDABLE],
        needs_data=True,
    ),
]


def commit():
    """The last commit that touched the code, marked where the working tree differs from it."""

    def git(*words):
        command = ["git", *words, "--", *SOURCES]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()

    return git("log", "-1", "--format=%h") + (" with changes" if git("status", "--porcelain") else "")


def run(experiment, data):
    """Runs the commands, and leaves the commit and the processor time next to the report."""
    experiment.folder().mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, PATH=f"{ROOT / 'target/release'}:{os.environ['PATH']}", D=str(data))
    stamp, before = {"commit": commit()}, os.times()
    experiment.report_path().unlink(missing_ok=True)
    subprocess.run(["sh", "-euc", experiment.commands], cwd=ROOT, env=environment, check=True)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    stamp["processor_minutes"] = round(seconds / 60, 1)
    (experiment.folder() / "stamp.json").write_text(json.dumps(stamp))


def section(experiment):
    """The section from the report of the last run."""
    report = json.loads(experiment.report_path().read_text())
    stamp = json.loads((experiment.folder() / "stamp.json").read_text())
    commands = "\n".join("    " + line for line in experiment.commands.strip().splitlines())
    source = (
        f"Made at `{stamp['commit']}` in {stamp['processor_minutes']} minutes of processor time; {report['sessions']} sessions, "
        f"{report['turns']} turns:"
    )
    tables = [of(report) for of in experiment.tables]
    text = textwrap.fill(experiment.text, 120)
    return "\n\n".join([f"## {experiment.title}", text, source, commands, *filter(None, tables)]) + "\n"


def former_sections():
    """The page's present sections by title."""
    parts = PAGE.read_text().split("\n## ")[1:] if PAGE.exists() else []
    return {part.split("\n", 1)[0]: "## " + part.rstrip("\n") + "\n" for part in parts}


def main():
    arguments = argparse.ArgumentParser(description="Run the experiments and write trainer/docs/results.md.")
    arguments.add_argument("--data", type=pathlib.Path, help="folder with the sets of real outcomes")
    arguments.add_argument("--only", nargs="+", choices=[one.name for one in EXPERIMENTS], help="leave out the others")
    arguments.add_argument("--write-only", action="store_true", help="run nothing, write the page from the last reports")
    given = arguments.parse_args()
    data = given.data and given.data.resolve()
    chosen = [one for one in EXPERIMENTS if (one.name in given.only if given.only else data or not one.needs_data)]
    for experiment in chosen:
        if experiment.needs_data and not data and not given.write_only:
            arguments.error(f"--only {experiment.name}: expected --data with the folder of its sessions")
    sections = former_sections()
    for experiment in chosen:
        if given.write_only and not experiment.report_path().exists():
            continue
        if not given.write_only:
            print(f"== {experiment.title}", flush=True)
            run(experiment, data)
        sections[experiment.title] = section(experiment)
        ordered = [sections[one.title] for one in EXPERIMENTS if one.title in sections]
        PAGE.write_text("\n".join([INTRODUCTION, *ordered]))


if __name__ == "__main__":
    main()
