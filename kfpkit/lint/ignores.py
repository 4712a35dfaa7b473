"""Comments `# kfpkit: ignore[RULE]`: on the line of a finding, or on the `def` around it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from functools import cache
from typing import TYPE_CHECKING

from kfpkit.lint.origin import python_text

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.lint.finding import Finding

_COMMENT = re.compile(r"#\s*kfpkit:\s*ignore\[([^\]]*)\]")


def without(findings: list[Finding]) -> list[Finding]:
    """Return the findings that no comment says to ignore."""
    seen = cache(_ignored)
    return [
        finding
        for finding in findings
        if not (finding.file and finding.line)
        or finding.rule not in seen(finding.file, finding.line)
    ]


def _ignored(file: Path, line: int) -> set[str]:
    """Return the rules that comments on a line, and on what is around it, say to ignore."""
    try:
        if file.suffix != ".py":
            lines = file.read_text(encoding="utf-8").split("\n")
            return _named(lines[line - 1]) if line <= len(lines) else set()
        text = python_text(file)
        tree = ast.parse(text)
        said = {
            token.start[0]: _named(token.string)
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        }
    except (OSError, ValueError, SyntaxError, tokenize.TokenError):
        return set()
    found = set(said.get(line, ()))
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            ends = range(node.lineno, node.body[0].lineno)
        elif not hasattr(node, "body"):
            ends = range(node.lineno, (node.end_lineno or 0) + 1)
        else:
            continue
        for number in ends:
            found |= said.get(number, set())
    return found


def _named(comment: str) -> set[str]:
    return {name.strip() for found in _COMMENT.findall(comment) for name in found.split(",")}
