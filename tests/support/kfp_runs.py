"""Addresses and names that the tests of runs share."""

from __future__ import annotations

import os

from kfpkit.cluster.config import API

#: Where the option api-nodeport and kind-config.yaml put the API.
HOST = os.environ.get("KFP_HOST", API)

#: The installation's bucket.
BUCKET = "mlpipeline"

#: What is imported.
GREETING = "greetings from outside"
