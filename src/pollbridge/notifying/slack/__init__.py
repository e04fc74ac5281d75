"""Slack: what its messages say, and how they get there."""
