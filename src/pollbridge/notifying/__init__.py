"""Delivering events to destinations: Slack and signed webhooks, with a ledger and a retry clock."""
