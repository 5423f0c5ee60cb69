"""Measures how dense and how branched the source is, and which names it defines.

    python tests/building/style.py [FOLDER ...]

prints one table per folder (default: src/histosynth). Docstrings and comments are no code lines.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "histosynth"
NO_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
)
MAX_BRANCHES = 10
WORDS_NOT_USED = frozenset(
    {
        "ask",
        "asked",
        "beside",
        "dressed",
        "floor",
        "hole",
        "holes",
        "judge",
        "judged",
        "judges",
        "kind",
        "kinds",
        "looked",
        "made",
        "mended",
        "mending",
        "said",
        "seam",
        "somebody",
        "tell",
        "tells",
        "told",
        "untold",
        "wear",
        "wearing",
        "wears",
        "whose",
        "worn",
    }
)
"""See the last table of docs/glossary.md."""
OTHER_MEANINGS = {
    "annotation/polygons.py": {"hole", "holes"},
    "annotation/regions.py": {"hole", "holes"},
    "preparation/tissue_mask.py": {"hole", "floor"},
}
"""Files that use a word in another of its senses: holes of a polygon, lower limit of a density."""
OTHERS_NAMES = re.compile(
    r"\b(?:np|math|torch|numpy)\.floor\b|\.dtype\.kind\b|\bkind=\"(?:stable|mergesort)\"|\.floor\(\)"
)
"""Uses of the words above that are names of numpy, math and torch."""


@dataclass(frozen=True)
class Density:
    """Tokens and code lines of a file or folder."""

    tokens: int
    lines: int

    @property
    def per_line(self) -> float:
        """Tokens per code line."""
        return self.tokens / max(self.lines, 1)


def python_files(folder: Path) -> list[Path]:
    """The Python files of a folder, or the file itself."""
    return [folder] if folder.is_file() else sorted(folder.rglob("*.py"))


def docstring_lines(tree: ast.AST) -> set[int]:
    """First lines of docstrings, of attributes too."""
    lines = set()
    for node in ast.walk(tree):
        for statement in (
            getattr(node, "body", []) if isinstance(node, ast.stmt | ast.Module) else []
        ):
            value = getattr(statement, "value", None)
            is_constant = isinstance(statement, ast.Expr) and isinstance(value, ast.Constant)
            if is_constant and isinstance(value.value, str):
                lines.add(statement.lineno)
    return lines


def whole_tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """Tokens of a file, an f-string as one of them, as before Python 3.12 took it apart."""
    start = getattr(tokenize, "FSTRING_START", None)
    end = getattr(tokenize, "FSTRING_END", None)
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if depth == 0:
            yield token
        if token.type == start:
            depth += 1
        elif token.type == end:
            depth -= 1


@cache
def density(path: Path) -> Density:
    """Tokens per line of code, without docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    documentation = docstring_lines(ast.parse(text))
    code = []
    for token in whole_tokens(text):
        is_docstring = token.type == tokenize.STRING and token.start[0] in documentation
        if token.type not in NO_CODE and not is_docstring:
            code.append(token)
    return Density(len(code), len({token.start[0] for token in code}))


def total(paths: list[Path]) -> Density:
    """The density of several files together."""
    each = [density(path) for path in paths]
    return Density(sum(one.tokens for one in each), sum(one.lines for one in each))


def branches(function: ast.AST) -> int:
    """Branch points of a function, those in expressions too; nested functions have their own."""
    count = 0
    stack = list(ast.iter_child_nodes(function))
    while stack:
        node = stack.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.If | ast.For | ast.While | ast.ExceptHandler | ast.IfExp):
            count += 1
        elif isinstance(node, ast.BoolOp):
            count += len(node.values) - 1
        elif isinstance(node, ast.comprehension):
            count += 1 + len(node.ifs)
        elif isinstance(node, ast.match_case):
            count += 1
        stack.extend(ast.iter_child_nodes(node))
    return count


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def words_of(name: str) -> list[str]:
    """The words of an identifier, in lower case."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return [word.lower() for word in spaced.split("_") if word]


def unwanted_words(path: Path) -> Counter[str]:
    """Identifiers that hold a word that the glossary does not use, with their counts."""
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(OTHERS_NAMES.sub("", line) for line in lines) + "\n"
    found: Counter[str] = Counter()
    unwanted = WORDS_NOT_USED - OTHER_MEANINGS.get(f"{path.parent.name}/{path.name}", set())
    for token in whole_tokens(text):
        if token.type == tokenize.NAME and unwanted & set(words_of(token.string)):
            found[token.string] += 1
    return found


def public_names(tree: ast.Module) -> set[str]:
    """Functions, classes and constants that a module defines without an underscore."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def repeated_names(paths: list[Path]) -> dict[str, list[str]]:
    """Public names that more than one module defines, with those modules.

    The command line is left out: its names are those of verbs and options.
    """
    where: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if path.parent.name == "cli":
            continue
        for name in public_names(ast.parse(path.read_text(encoding="utf-8"))):
            where[name].append(
                path.name if path.parent == SOURCE else f"{path.parent.name}/{path.name}"
            )
    return {name: modules for name, modules in sorted(where.items()) if len(modules) > 1}


def counted(paths: list[Path]) -> dict[str, str]:
    """The table, by row."""
    whole = total(paths)
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in paths]
    comprehensions = packed = ternaries = 0
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            comprehensions += 1
        elif isinstance(node, ast.IfExp):
            ternaries += 1
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            packed += isinstance(node.targets[0], ast.Tuple)
    every = [function for tree in trees for function in functions(tree)]
    branched = sum(branches(function) > MAX_BRANCHES for function in every)
    words = sum((unwanted_words(path) for path in paths), Counter())
    hundred = whole.lines / 100
    return {
        "files": f"{len(paths)}",
        "code lines": f"{whole.lines:,}",
        "tokens per code line": f"{whole.per_line:.2f}",
        "densest file": "{:.1f} {}".format(*max((density(p).per_line, p.name) for p in paths)),
        "comprehensions per 100 lines": f"{comprehensions / hundred:.1f}",
        "ternaries per 100 lines": f"{ternaries / hundred:.1f}",
        "tuple-packed assignments per 100 lines": f"{packed / hundred:.2f}",
        f"functions with > {MAX_BRANCHES} branch points": f"{branched / max(len(every), 1):.1%}",
        "public names in more than one module": f"{len(repeated_names(paths))}",
        "unwanted words in identifiers": f"{words.total()} {dict(words.most_common(6))}",
    }


if __name__ == "__main__":
    for given in sys.argv[1:] or [str(SOURCE)]:
        print(given)
        for row, value in counted(python_files(Path(given))).items():
            print(f"  {row:42} {value}")
