"""Dirq, a queue in a directory, as an executor of psij_ext: an example of a plugin, to be copied."""
