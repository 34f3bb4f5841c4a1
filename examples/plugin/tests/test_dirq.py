from pathlib import Path

from psij_ext.testing import DialectConformance, ExecutorConformance


class TestDialect(DialectConformance):
    executor = 'dirq'
    recordings = Path(__file__).parent / 'recorded'


class TestExecutor(ExecutorConformance):
    executor = 'dirq'
