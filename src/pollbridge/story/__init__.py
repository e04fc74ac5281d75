"""Why somebody heard of a job, or didn't: poll → change → rule → destination → attempts."""
