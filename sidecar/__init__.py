"""Concurrency control for AI agents at the HTTP boundary.

An **agent** makes a **call** to a **tool** (an upstream API).  The first **route** that matches says how to derive
the **claim**: its **lane**, the **intent** (idempotency), the **locks** on **entities**, the **caps** it counts
against, the **flow** it is scheduled in.  The **gate** **admits** the claim: **granted**, **replay** of a stored
**answer**, **joined** to a running twin, a **ticket** in a line, or a **refusal**.  A grant is kept as a **lease**
with a **fence** (a growing number) while the call is **forwarded**; the **outcome** (completed, not_sent, unknown)
is **settled**, and only then does the reply end.  A **run** is one execution of a **workflow**; it makes many calls.

Read ``pipeline.py`` first: it is one call in a straight line.
"""

__version__ = "0.1.0"
