"""The executors: each hands jobs to one kind of scheduler."""
