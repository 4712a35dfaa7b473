"""Notify: say how a run ended, to a webhook, to Slack, by mail."""
