"""``python -m include.eject [DAG ...]``: makes your own project of this checkout.

It asks before it changes anything, and leaves the changes to you to commit or to take back. The
system's Python will do: nothing needs to be installed.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

from include.eject.dag_file import ROOT
from include.eject.plan import Plan, choose
from include.eject.to_set import places_to_set


class EjectError(Exception):
    """Why nothing was done, and what to do."""


def main() -> int:
    """Show the plan, ask, do it; return the exit code."""
    parser = argparse.ArgumentParser(prog="make eject", description=__doc__)
    parser.add_argument("dags", nargs="*", metavar="DAG", help="the Dags to keep")
    parser.add_argument("--name", default=ROOT.name, help="your project's name")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args()
    try:
        plan = make_plan(options.name, options.dags)
        print(in_words(plan))
        if not (options.yes or is_wanted()):
            print("Nothing was changed.")
            return 0
        places = places_to_set(plan)
        stop_what_runs(plan.root)
        carry_out(plan)
    except (EjectError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Done: this is {plan.name}. README.md says how to start it.")
    if places:
        print("Set these next:", *places, sep="\n  ")
    return 0


def make_plan(name: str, dags: list[str]) -> Plan:
    """Raises EjectError unless everything can be taken back."""
    if not (ROOT / ".git").exists():
        raise EjectError("This is no git checkout: git init, add and commit all of it first.")
    if git("status", "--porcelain"):
        raise EjectError(
            "There are uncommitted changes (git status shows them): commit or stash them, so that "
            "git can take back what this command does."
        )
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise EjectError(f"{name!r} has no letters: name your project with NAME=my-project.")
    tracked = tuple(git("ls-files").splitlines())
    commit = git("rev-parse", "--short", "HEAD").strip()
    return Plan(ROOT, slug, choose(ROOT, dags), tracked, commit)


def in_words(plan: Plan) -> str:
    """All that will happen."""
    dags = "\n".join(f"    {dag.name}" for dag in plan.dags)
    copied = sorted({place for dag in plan.dags for place in dag.copied_with})
    gone = [f"{place} ({count})" if count > 1 else place for place, count in places(plan).items()]
    return (
        f"This makes the project {plan.name} of this checkout.\n"
        f"  keeps the Dags\n{dags}\n"
        f"  with {', '.join([*copied, '.astro/, LICENSE, constraints.txt'])}\n"
        f"  writes anew\n    {', '.join(plan.written)}\n"
        f"  deletes {len(plan.deleted)} files\n    {', '.join(gone)}\n"
        "Nothing is committed. To take it back: git reset --hard."
    )


def places(plan: Plan) -> Counter[str]:
    """What is deleted: folders of which nothing stays, and single files; with how many files."""
    stays = [*plan.kept, *plan.written]

    def place(file: str) -> str:
        parents = [f"{parent}/" for parent in reversed(Path(file).parents[:-1])]
        gone = [each for each in parents if not any(other.startswith(each) for other in stays)]
        return [*gone, file][0]

    return Counter(map(place, plan.deleted))


def is_wanted() -> bool:
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def stop_what_runs(root: Path) -> None:
    """There is no `make stop` afterwards."""
    python = root / ".venv" / "bin" / "python"
    if (root / ".airflow").exists() and python.exists():
        stop = [str(python), "-m", "include.local_airflow", "stop"]
        if subprocess.run(stop, cwd=root).returncode:
            raise EjectError("make stop failed: end what runs in this checkout, then try again.")


def carry_out(plan: Plan) -> None:
    git("rm", "--quiet", "--", *plan.deleted)
    for folder in sorted({Path(file).parent for file in plan.deleted}, reverse=True):
        shutil.rmtree(plan.root / folder / "__pycache__", ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty
            (plan.root / folder).rmdir()
    for name, text in plan.written.items():
        file = plan.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    git("add", "--all")


def git(*command: str) -> str:
    done = subprocess.run(["git", *command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise EjectError(f"git {command[0]} failed: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
