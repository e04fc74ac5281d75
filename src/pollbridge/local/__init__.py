"""The outside world on this machine: vendors that can be scripted, and an inbox that plays the receivers."""
