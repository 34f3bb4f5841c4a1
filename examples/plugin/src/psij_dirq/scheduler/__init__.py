"""Dirq itself, the scheduler that the example is for: a queue in a directory, without any daemon.

Leave it out of your copy: your scheduler is there already. Nothing but Python's own library is used here, and nothing
here knows of psij_ext.
"""

__version__ = '1.0'
