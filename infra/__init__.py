"""The deployment: what `pollbridge.toml` becomes in an AWS account."""
