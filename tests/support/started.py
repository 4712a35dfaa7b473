"""What the tests' runs are given: all runs that wait for no other are started at once."""

from __future__ import annotations

from typing import Any

from tests.support.pipelines.values import TEXT

#: By pipeline of pipelines/values.py that gives the page of values, what its run is given.
PAGES: dict[str, dict[str, Any]] = {
    "values": {
        "whole": 3,
        "number": 2.0,
        "text": TEXT,
        "items": [1, 1.0, 0.5, True, None, "1", {"b": 1.0, "a": None}],
    },
    "rounds": {},
    "conditions": {},
}

#: The others of pipelines/values.py.
VALUES: dict[str, dict[str, Any]] = {
    **PAGES,
    "quoted": {"text": 'a "quoted" word'},
    "mistyped": {},
    "either": {"flag": True},
    "guarded_rounds": {},
    "evaluated": {"text": "{{=1+1}} {{workflow.name}} {{ user }} $$ $(KFP_POD_NAME) $(x)"},
}

#: By pipeline of pipelines/sizes.py and size in bytes, how the run ends.
SIZES = {
    ("read_often", 110_000): "SUCCEEDED",
    # More than Argo keeps in a variable of the pod's, less than Linux takes as an argument.
    ("read_once", 130_000): "SUCCEEDED",
    ("read_once", 300_000): "FAILED",
    ("written", 1_000_000): "SUCCEEDED",
}

#: MiB of the artifact of the run `large`: some twenty parts of an upload.
MEBIBYTES = 128
