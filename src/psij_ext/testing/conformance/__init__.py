"""The conformance suite: what every executor must do, as tests that take the fixture `execparams`.

Run all of it with `pytest -p psij_ext.testing --pyargs psij_ext.testing.conformance --executors=NAME`, or in a file of
your own by `psij_ext.testing.ExecutorConformance`, which has all of these tests.
"""
