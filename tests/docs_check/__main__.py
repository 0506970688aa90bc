"""Checks that the documents say what is so (`make docs-check`).

- Every make target, program, command, option, package and test name in them exists.
- Every relative link, anchor and path in them exists.
- Every command in them is run: by a test, by `make ci`, or here, in a marked block or in a short form (`runs.COVERED`).
"""

import sys
import tempfile
import time
from pathlib import Path

from check import Checker
from project import Project
from runs import COVERED, ByHand, InBlock, Runner, Short, Tested, check_install, check_quickstart

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = {"quickstart": check_quickstart, "install": check_install}


def main() -> int:
    project = Project(ROOT)
    checker = Checker(project, COVERED)
    documents = sorted(name for name in project.files if name.endswith(".md") and not name.startswith("tests/docs_check/"))
    for name in documents:
        checker.check(name)
    wrong = checker.wrong + stale(project)
    if not wrong:
        wrong = run(checker)
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"{len(documents)} documents, {len(checker.mentioned)} commands, {len(wrong)} faults", file=sys.stderr)
    return 1 if wrong else 0


def stale(project: Project) -> list[str]:
    """Entries of `COVERED` whose test is gone."""
    return [
        f"runs.py: `{command}`: {how.file} does not contain {how.text}"
        for command, how in COVERED.items()
        if isinstance(how, Tested) and how.text not in (project.root / how.file).read_text()
    ]


def run(checker: Checker) -> list[str]:
    """Runs the marked blocks, then the short forms of all commands that the documents mention."""
    with tempfile.TemporaryDirectory(prefix="docs-check-") as scratch:
        runner = Runner(ROOT, Path(scratch))
        try:
            for name, check in BLOCKS.items():
                output = timed(name, lambda: runner.block(name, checker.script(name)))
                check(output)
            runner.keep_records("quickstart")
            for command, how in COVERED.items():
                if isinstance(how, Short) and command in checker.mentioned:
                    timed(command, lambda: runner.short(command, how))
        except (RuntimeError, AssertionError) as error:
            return [f"{type(error).__name__}: {error}"]
    return []


def timed(what: str, action):
    """Does it and says how long it took."""
    start = time.monotonic()
    result = action()
    print(f"{what}: {time.monotonic() - start:.1f} s", file=sys.stderr)
    return result


sys.exit(main())
