"""The sentences of error in the code: what exceptions, warnings and the Makefile say to a person.

What varies is written as "…". A text that only completes another one is no sentence.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOLDERS = ("dags", "include", "plugins")
RAISED = ("Error", "Exception", "__init__")  # the last one in an exception's own class
LOGGED = ("warning", "error", "exception")
# What carries a sentence to where it is printed.
CARRIED = ("Attempt", "FailedRun", "Failure", "Finding", "Lineage", "Outcome", "_refuse")
Function = ast.FunctionDef | ast.AsyncFunctionDef
Assignment = ast.Assign | ast.NamedExpr


def sentences() -> dict[str, str]:
    """Each sentence, and the file that says it."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for file in sorted((PROJECT / folder).rglob("*.py")):
            name = str(file.relative_to(PROJECT))
            if not name.startswith("include/.local/"):
                found |= dict.fromkeys(map(first_line, texts(parsed(file))), name)
    found |= dict.fromkeys(map(first_line, makefile_texts()), "Makefile")
    return {text: file for text, file in found.items() if is_sentence(text)}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def texts(module: ast.Module) -> Iterator[str]:
    for scope in [module, *(node for node in ast.walk(module) if isinstance(node, Function))]:
        for node in own_nodes(scope):
            if isinstance(node, ast.Call) and is_error(node):
                for said in [*node.args, *(keyword.value for keyword in node.keywords)]:
                    yield from values(said, scope, module)
            elif isinstance(node, ast.Assign) and name_of(node.targets[0]) == "user_message":
                yield from values(node.value, scope, module)


def is_error(call: ast.Call) -> bool:
    name = name_of(call.func)
    if name == "Finding" and len(call.args) == 1:  # without an advice all is well
        return False
    to_stderr = name == "print" and any(keyword.arg == "file" for keyword in call.keywords)
    return to_stderr or name.endswith((*RAISED, *LOGGED)) or name in CARRIED


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """What is in it, except in functions that are in it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, Function):
            yield node
            yield from own_nodes(node)


def values(node: ast.expr, scope: ast.AST, module: ast.Module) -> Iterator[str]:
    """The texts that an expression can be, as far as names lead to where they are defined."""
    text = text_of(node)
    if text is not None:
        yield text
    elif isinstance(node, ast.Dict):
        for value in node.values:
            yield from values(value, scope, module)
    elif isinstance(node, ast.IfExp):
        yield from values(node.body, scope, module)
        yield from values(node.orelse, scope, module)
    elif isinstance(node, ast.Subscript):
        yield from values(node.value, scope, module)
    elif isinstance(node, ast.Name):
        yield from named(node.id, scope, module)
    elif isinstance(node, ast.Call):
        yield from returned(node.func, scope, module)


def named(name: str, scope: ast.AST, module: ast.Module) -> Iterator[str]:
    for node in [*own_nodes(scope), *module.body]:
        target = getattr(node, "targets", [getattr(node, "target", None)])[0]
        if isinstance(node, Assignment) and name_of(target) == name and not uses(node.value, name):
            yield from values(node.value, scope, module)
        elif isinstance(node, ast.ImportFrom) and name in {each.name for each in node.names}:
            file = PROJECT / f"{str(node.module).replace('.', '/')}.py"
            if not node.level and file.exists():
                yield from named(name, parsed(file), parsed(file))


def uses(node: ast.AST, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node))


def returned(function: ast.expr, scope: ast.AST, module: ast.Module) -> Iterator[str]:
    """What a function of the module returns, a dictionary has, or a text's own method makes."""
    for node in ast.walk(module):
        if isinstance(node, Function) and node.name == name_of(function):
            for each in ast.walk(node):
                if isinstance(each, ast.Return) and each.value:
                    yield from filter(None, [text_of(each.value)])
    if isinstance(function, ast.Attribute):
        yield from values(function.value, scope, module)


def text_of(node: ast.expr) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.sub(r"%[sd]", "…", node.value)
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
        return "".join(str(part) for part in parts)
    if isinstance(node, ast.BinOp) and (left := text_of(node.left)):
        return f"{left}…"
    return None


def name_of(node: ast.expr | None) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))


def makefile_texts() -> Iterator[str]:
    makefile = (PROJECT / "Makefile").read_text().replace("$(PYTHON)", "…")
    for text in re.findall(r'echo "(?:Error: )?([^"]+)"', makefile):
        yield re.sub(r"\$\$\(… --version\)", "…", text)


def first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()


def is_sentence(text: str) -> bool:
    """Three words or more, and it begins or ends as a sentence does."""
    begins = text[:1].isupper() or text.startswith("dbt")
    return len(re.findall(r"[A-Za-z]+", text)) >= 3 and (begins or text.endswith("."))
