"""kubectl on a namespace of a cluster."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from kfpkit.core import process

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kubectl(ABC):
    """Runs kubectl in one namespace of one context."""

    #: A context of the kubeconfig.
    context: str
    #: The program.
    kubectl: str

    @property
    @abstractmethod
    def namespace(self) -> str:
        """The namespace."""

    @property
    def inside(self) -> bool:
        """Whether this program runs in a pod of the namespace."""
        return False

    def argv(self, *arguments: str) -> list[str]:
        """Return a command on the namespace."""
        where = ("--context", self.context, "--namespace", self.namespace)
        return [self.kubectl, *where, *arguments]

    def line(self, *arguments: str) -> str:
        """Return a command on the namespace as a person types it."""
        return process.line(self.argv(*arguments))

    def run(
        self, *arguments: str, stdin: str | None = None, check: bool = True, do: str = ""
    ) -> process.Result:
        """Run a command that changes something in the namespace."""
        return process.run(self.argv(*arguments), stdin=stdin, check=check, do=do)

    def query(
        self, *arguments: str, check: bool = True, stdin: str | None = None
    ) -> process.Result:
        """Run a command that only reads the namespace."""
        return process.query(self.argv(*arguments), check=check, stdin=stdin)

    def items(self, kinds: Sequence[str], *selector: str) -> list[dict[str, Any]]:
        """Return the namespace's objects of these kinds.

        Raises:
            CommandError: The cluster does not answer or refuses.
        """
        listed = self.query("get", ",".join(kinds), *selector, "--output=json")
        found: list[dict[str, Any]] = json.loads(listed.stdout)["items"]
        return found
