"""A show for newcomers: agents collide on purpose, without and with sidecars, and the tools keep count.

The demo plays a user and imports nothing of the product: it starts tools, agents and sidecars as processes,
and reads what any operator could read: the tools' counts, the sidecars' decision lines and admin port.

    show.py      both halves, one after the other          tools.py     CRM, email and billing, over HTTP
    scenes.py    the five collisions, step by step         ledger.py    what a tool counts about itself
    script.py    the records they are about, by seed       agent.py     the agents, and a framework's retry
    stage.py     the processes of one half                 narrator.py  what is worth telling, in words
    child.py     one process that speaks in JSON lines     screen.py    what a person sees
    counts.py    what a half added up to
"""
