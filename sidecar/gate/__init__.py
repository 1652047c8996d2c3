"""The gate: the only package that talks to the store.

``gate.py`` is its face (``Gate.admit``), ``lease.py`` what it hands out, ``lua/`` where it is decided who goes.  The
rules are in the prologues of ``lua/``: ``prelude``, ``holders``, ``record``, ``line`` and ``dispatch``.
"""
