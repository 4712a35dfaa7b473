"""A target whose warm driver is as a test says, and which notes what is changed."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.kfp import webhook
from kfpkit.kfp.target import Target
from tests.support.renders import rendered

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

NAMESPACE = "kubeflow"


@dataclass
class State:
    """What is there, and what was run: the words, and the standard input."""

    secret: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, Any] | None = None
    ready: bool = True
    deployed: bool = True
    workflows: list[dict[str, Any]] = field(default_factory=list)
    ran: list[tuple[str, str]] = field(default_factory=list)

    def words(self) -> list[str]:
        return [words for words, _ in self.ran]

    def given(self, beginning: str) -> dict[str, Any]:
        """Return the object that the one command with this beginning was given."""
        (text,) = (text for words, text in self.ran if words.startswith(beginning))
        found: dict[str, Any] = json.loads(text)
        return found


class WarmTarget(Target):
    """Answers out of a `State`."""

    state: State

    def has_namespace(self) -> bool:
        return True

    def query(
        self, *arguments: str, check: bool = True, stdin: str | None = None
    ) -> process.Result:
        del check, stdin
        match arguments:
            case ("get", "secret", webhook.SECRET, *_) if self.state.secret:
                values = self.state.secret.items()
                data = {key: base64.b64encode(value.encode()).decode() for key, value in values}
                return process.Result(0, json.dumps({"data": data}), "")
            case ("get", "deployment/warm-driver", *_) if self.state.deployed:
                return process.Result(0, "deployment/warm-driver", "")
        return process.Result(0, "", "")

    def run(
        self, *arguments: str, stdin: str | None = None, check: bool = True, do: str = ""
    ) -> process.Result:
        del check, do
        self.state.ran.append((" ".join(arguments), stdin or ""))
        return process.Result(0, "", "")

    def items(self, kinds: Sequence[str], *_: str) -> list[dict[str, Any]]:
        if kinds == ["endpointslices"]:
            return [{"endpoints": [{"conditions": {"ready": self.state.ready}}]}]
        return self.state.workflows


def installed(namespace: str = NAMESPACE) -> State:
    """Return a state in which all is well."""
    values = webhook.certificate(namespace)
    known = json.loads(webhook.configuration(namespace, values[webhook.CRT]))
    known["metadata"]["creationTimestamp"] = "2026-11-28T12:00:00Z"
    return State(values, known)


def target(
    monkeypatch: pytest.MonkeyPatch, state: State, overlay: str = "kind-packages"
) -> WarmTarget:
    """Return the target; commands on the cluster itself are answered out of the state too."""
    made = WarmTarget(overlay, "nowhere", "kubectl")
    object.__setattr__(made, "state", state)
    made.__dict__["documents"] = rendered(f"overlays/{overlay}")

    def query(argv: list[str], **_: Any) -> process.Result:
        assert argv[3:5] == ["get", webhook.KIND]
        known = state.configuration
        return process.Result(0, json.dumps(known) if known else "", "")

    def run(argv: list[str], stdin: str | None = None, **_: Any) -> process.Result:
        state.ran.append((" ".join(argv[3:]), stdin or ""))
        return process.Result(0, "", "")

    monkeypatch.setattr(process, "query", query)
    monkeypatch.setattr(process, "run", run)
    return made
