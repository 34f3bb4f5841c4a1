"""The conformance suite: what every executor must do, as tests that take the fixture `execparams`.

Run all of it with `pytest -p psij_ext.testing --pyargs psij_ext.testing.conformance --executors=NAME`, or import the
tests into a file of your own.
"""
