"""The part of the build that ``pyproject.toml`` cannot say: which modules become C, with ``SIDECAR_COMPILE=1``.

They are the ones that every call passes through, compiled by mypyc from the same typed Python.  Without the variable
the same files are interpreted: twice the CPU a call, and nothing else differs.

Not among them is what awaits inside an ``except``, a ``finally`` or an ``async with``: mypyc 2.4 loses the exception
there (a test keeps such code out).
"""

import os

from setuptools import setup

COMPILED = [
    "core/call", "core/claim", "core/client", "core/derive", "core/downstream", "core/content", "core/field",
    "core/fleet", "core/headers", "core/identity", "core/index", "core/judge", "core/outbound", "core/outcome",
    "core/pattern", "core/refusal", "core/route", "core/selector", "core/table", "core/template",
    "core/view",
    "gate/answers", "gate/gate", "gate/keeper", "gate/keyspace", "gate/link", "gate/safe", "gate/store",
    "gate/waiting", "gate/words",
    "telemetry/instruments", "telemetry/meters", "telemetry/story",
    "wire/body", "wire/channel", "wire/connection", "wire/exchange", "wire/head", "wire/intake",
    "wire/lines", "wire/opening", "wire/pool", "wire/reply", "wire/request", "wire/response", "wire/shared",
    "wire/tls", "wire/upstream",
    "pipeline",
]  # fmt: skip

extensions = []
if os.environ.get("SIDECAR_COMPILE"):
    from mypyc.build import mypycify

    extensions = mypycify([f"sidecar/{module}.py" for module in COMPILED])

setup(ext_modules=extensions)
