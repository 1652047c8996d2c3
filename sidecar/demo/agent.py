"""The agents: ordinary programs with an ordinary client, which know nothing of sidecars.

Each is a process of its own (``python -m sidecar.demo.agent ROLE JSON``) that calls tools through ``urllib``,
so ``HTTP_PROXY`` is honoured by the standard library alone.  Its framework retries what timed out, broke off
or got a 5xx, with a fresh idempotency key each time, as SDKs do.  A 4xx is an answer: the agent reads it and
leaves that item alone.
"""

import http.client
import json
import random
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
ATTEMPTS = 8
"""SDKs stop at 2 to 10; enough here for a retry to outlive the slowest answer."""


class Declined(Exception):
    """The tool, or whoever stands before it, said no and why."""


class Client:
    """One HTTP client with a framework's retries."""

    def __init__(self, tools: dict[str, str], run: str, timeout_s: float, seed: int) -> None:
        self.writes = 0
        self.slowest_s = 0.0
        self._tools = tools
        self.run = run
        self._timeout_s = timeout_s
        self._keys = random.Random(f"{seed} {run}")  # noqa: S311 - a fresh key, not a secret one
        self._lock = threading.Lock()

    def call(self, tool: str, method: str, path: str, body: Json | None = None) -> Json:
        """The tool's answer, after as many attempts as the framework makes.  Raises Declined on a 4xx."""
        began = time.monotonic()
        try:
            return self._retried(self._tools[tool] + path, method, body)
        finally:
            with self._lock:
                self.slowest_s = max(self.slowest_s, time.monotonic() - began)

    def _retried(self, url: str, method: str, body: Json | None) -> Json:
        for _ in range(ATTEMPTS):
            try:
                return self._once(url, method, body)
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise Declined(error.read().decode()) from None
            except (OSError, http.client.HTTPException):
                pass  # timed out or broken off: nobody knows whether it happened, and frameworks retry
        raise TimeoutError(f"{method} {url}: no answer after {ATTEMPTS} attempts")

    def _once(self, url: str, method: str, body: Json | None) -> Json:
        with self._lock:
            self.writes += method != "GET"
            key = f"{self._keys.getrandbits(64):016x}"
        headers = {"Content-Type": "application/json", "X-Agent-Run": self.run, "Idempotency-Key": key}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback http, from the demo itself
        with urllib.request.urlopen(request, timeout=self._timeout_s) as answer:  # noqa: S310 - as above
            return dict(json.load(answer))


def sdr(client: Client, leads: list[str], subject: str) -> None:
    """Works leads from a queue: notes that it took each, counts the touch, sends one welcome mail."""
    for lead in leads:
        found = client.call("crm", "GET", f"/leads/{lead}")
        meet(f"read {lead}")
        change = {"stage": "contacted", "touches": found["touches"] + 1}
        client.call("crm", "PATCH", f"/leads/{lead}", {"based_on": found["version"], "properties": change})
        meet(f"updated {lead}")
        client.call("crm", "POST", f"/leads/{lead}/notes", {"text": f"{client.run} is on it"})
        client.call("email", "POST", "/emails", {"to": f"{lead}@example.com", "subject": subject})


def closer(client: Client, leads: list[str]) -> None:
    """Moves each deal on, twice; the first answer takes longer than its patience."""
    for lead in leads:
        for stage in ("qualified", "won"):
            version = client.call("crm", "GET", f"/leads/{lead}")["version"]
            body = {"based_on": version, "properties": {"stage": stage}}
            client.call("crm", "PATCH", f"/leads/{lead}", body)


def importer(client: Client, workers: list[list[str]]) -> None:
    """Updates leads from many workers at once, each its own leads."""
    meet("start")

    def work(leads: list[str]) -> None:
        for lead in leads:
            client.call(
                "crm", "PATCH", f"/leads/{lead}", {"based_on": 1, "properties": {"stage": "imported"}}
            )
            tell(event="imported", record=lead)

    threads = [threading.Thread(target=work, args=(leads,)) for leads in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def biller(client: Client, invoices: dict[str, int]) -> None:
    """Charges invoices one after another."""
    for invoice, amount in invoices.items():
        try:
            client.call("billing", "POST", "/charges", {"invoice": invoice, "amount": amount})
        except Declined as no:
            tell(event="declined", record=invoice, text=str(no))


ROLES: dict[str, Callable[..., None]] = {"sdr": sdr, "closer": closer, "importer": importer, "biller": biller}


def tell(**news: object) -> None:
    sys.stdout.write(json.dumps(news) + "\n")  # one write, so that threads' lines do not mix
    sys.stdout.flush()


def meet(point: str) -> None:
    """Wait for the demo to say go: this is what makes a rare collision happen every time."""
    tell(event="at", point=point)
    if not sys.stdin.readline():
        sys.exit("the demo went away")


def main(role: str, options: Json) -> None:
    client = Client(options["tools"], options["run"], options["timeout_s"], options["seed"])
    ROLES[role](client, **options["task"])
    tell(event="done", writes=client.writes, slowest_s=client.slowest_s)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
