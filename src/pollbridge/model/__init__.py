"""What a job is, what a change is, what an event says. Pure: no I/O, no AWS, no clock."""
