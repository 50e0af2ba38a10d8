"""Change the source in a small way, and see whether a test fails; a thousand times, and tell how often one did.

The changes are those of cosmic-ray, and one of our own: a statement is left out. For each, only the tests that run the
changed code are run, the quickest first, until one fails. It happens in copies of the working tree, so one can go on
working. Results are kept in ``.mutants/``: started again, it goes on where it was. It tries again what is in a module
that is different since then, and what survived if the tests are different.

A change that no test can see, because the program does the same, is declared in ``equivalents.toml``, with the reason.

Needs the extra ``bintrio[mutants]``, and a system with fork.
"""
