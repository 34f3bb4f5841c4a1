"""What does the I/O: running commands, rendering scripts, job folders, events and monitoring."""
