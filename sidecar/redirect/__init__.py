"""Enforcement by the kernel: what an agent sends out goes to the sidecar, whatever the agent thinks of proxies.

``rules.py`` says which rules, ``install.py`` puts them in place.  No part of it runs in ``sidecar run``; it needs
CAP_NET_ADMIN, which neither the sidecar nor the agent has.
"""
