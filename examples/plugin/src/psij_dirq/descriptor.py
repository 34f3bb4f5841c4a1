"""What the entry point in `pyproject.toml` leads to: the executor's name, and where its class is."""

from psij_ext import Descriptor

descriptor = Descriptor('dirq', '1.0', 'psij_dirq.executor.DirqJobExecutor', nice_name='Dirq')
