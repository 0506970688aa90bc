"""Checks that the documents say what is so (`make docs-check`).

- Every make target, program, command, option, package and test name in them exists.
- Every relative link, anchor and path in them exists.
- Every command in them is run: by a test, by `make ci`, or here, in a marked block or in a short form (`runs.COVERED`).
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from check import Checker
from project import Project
from runs import BLOCKS, COVERED, InBlock, Runner, Short, Tested

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    project = Project(ROOT)
    checker = Checker(project, COVERED)
    documents = sorted(name for name in project.files if name.endswith(".md"))
    for name in documents:
        checker.check(name)
    wrong = checker.wrong + stale(project, checker.scripts())
    if not wrong:
        wrong = run(checker)
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(documents)} documents, {len(checker.mentioned)} commands, {len(wrong)} faults", file=sys.stderr)
    return 1 if wrong else 0


def stale(project: Project, scripts: dict[str, str]) -> list[str]:
    """Entries of `COVERED` whose test or block is gone, and blocks that nobody knows how to run."""
    wrong = [f"no rules to run the block `{name}`" for name in scripts if name not in BLOCKS]
    for command, how in COVERED.items():
        if isinstance(how, Tested) and how.text not in (project.root / how.file).read_text():
            wrong.append(f"runs.py: `{command}`: {how.file} does not contain {how.text}")
        if isinstance(how, InBlock) and how.name not in scripts:
            wrong.append(f"runs.py: `{command}`: no block is marked `run: {how.name}`")
    return wrong


def run(checker: Checker) -> list[str]:
    """Runs the marked blocks, then the short forms of all commands that the documents mention."""
    (ROOT / "target").mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="docs-check-", dir=ROOT / "target"))
    runner = Runner(ROOT, scratch)
    try:
        for name, script in checker.scripts().items():
            timed(name, lambda: runner.block(name, script))
        for command, how in COVERED.items():
            if isinstance(how, Short) and command in checker.mentioned:
                timed(command, lambda: runner.short(command, how))
    except (RuntimeError, AssertionError) as error:
        return [str(error)]
    finally:
        runner.clean()
        shutil.rmtree(scratch)
    return []


def timed(what: str, action) -> None:
    """Does it and prints how long it took."""
    start = time.monotonic()
    action()
    print(f"{what}: {time.monotonic() - start:.1f} s", file=sys.stderr)


sys.exit(main())
