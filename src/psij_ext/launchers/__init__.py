"""The launchers: each starts the processes of a job in its own way."""
