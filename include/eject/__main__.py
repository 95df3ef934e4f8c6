"""``python -m include.eject [DAG ...]``: turn this checkout into your own project.

It asks for confirmation first, and leaves the changes uncommitted. The system's Python is enough:
no packages are required.
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
    """The reason why nothing was changed, and the fix."""


def main() -> int:
    """Print the plan, ask for confirmation, and apply it; return the exit code."""
    parser = argparse.ArgumentParser(prog="make eject", description=__doc__)
    parser.add_argument("dags", nargs="*", metavar="DAG", help="the Dags to keep")
    parser.add_argument("--name", default=ROOT.name, help="your project's name")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    options = parser.parse_args()
    try:
        plan = make_plan(options.name, options.dags)
        print(describe(plan))
        if not (options.yes or is_confirmed()):
            print("Nothing was changed.")
            return 0
        places = places_to_set(plan)
        stop_processes(plan.root)
        apply_plan(plan)
    except (EjectError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print(f"Done: this is now {plan.name}. See README.md for the first steps.")
    if places:
        print("Next, set these constants:", *places, sep="\n  ")
    return 0


def make_plan(name: str, dags: list[str]) -> Plan:
    """Return the plan; raise ``EjectError`` if git could not revert the changes."""
    if not (ROOT / ".git").exists():
        raise EjectError("This is not a git checkout: run git init, then add and commit all files.")
    if git("status", "--porcelain"):
        raise EjectError(
            "There are uncommitted changes (see git status): commit or stash them, so that git can "
            "revert this command."
        )
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not slug:
        raise EjectError(f"The project name {name!r} has no letters: set one with NAME=my-project.")
    tracked = tuple(git("ls-files").splitlines())
    commit = git("rev-parse", "--short", "HEAD").strip()
    return Plan(ROOT, slug, choose(ROOT, dags), tracked, commit)


def describe(plan: Plan) -> str:
    """Return the description of all changes."""
    dags = "\n".join(f"    {dag.name}" for dag in plan.dags)
    copied = sorted({place for dag in plan.dags for place in dag.copied_with})
    deleted = deleted_places(plan).items()
    gone = [f"{place} ({count})" if count > 1 else place for place, count in deleted]
    return (
        f"This turns the checkout into the project {plan.name}.\n"
        f"  keeps the Dags\n{dags}\n"
        f"  with {', '.join([*copied, '.astro/, LICENSE, constraints.txt'])}\n"
        f"  rewrites\n    {', '.join(plan.written)}\n"
        f"  deletes {len(plan.deleted)} files\n    {', '.join(gone)}\n"
        "Nothing is committed. To revert it: git reset --hard."
    )


def deleted_places(plan: Plan) -> Counter[str]:
    """Return the deleted folders and single files, with the number of files."""
    remaining = [*plan.kept, *plan.written]

    def place(file: str) -> str:
        parents = [f"{parent}/" for parent in reversed(Path(file).parents[:-1])]
        gone = [each for each in parents if not any(other.startswith(each) for other in remaining)]
        return [*gone, file][0]

    return Counter(map(place, plan.deleted))


def is_confirmed() -> bool:
    try:
        return input("Continue? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def stop_processes(root: Path) -> None:
    """Run ``make stop``, which the new project does not have."""
    python = root / ".venv" / "bin" / "python"
    if (root / ".airflow").exists() and python.exists():
        stop = [str(python), "-m", "include.local_airflow", "stop"]
        if subprocess.run(stop, cwd=root).returncode:
            raise EjectError(
                "make stop failed: end the processes of this checkout, then try again."
            )


def apply_plan(plan: Plan) -> None:
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
