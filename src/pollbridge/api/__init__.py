"""The HTTP API: registering jobs, and reading what is known of them, over a Function URL."""
