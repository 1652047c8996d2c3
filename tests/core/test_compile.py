"""Every mistake has its message, at its place, and none hides another."""

import io
import pickle
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.core.approval import ApprovalSpec
from sidecar.core.call import Call, Headers, Identity
from sidecar.core.claim import AutoCap, Rate
from sidecar.core.compile.folder import File, compile_config
from sidecar.core.config import Approvals, Config, Tls, Webhook
from sidecar.core.fleet import Tenant
from sidecar.core.outbound import Trust
from sidecar.core.problems import ConfigError
from sidecar.core.route import Lane, Route
from sidecar.settings import _Sender

HEAD = "version: 1\ntool: crm\nhosts: [crm.test]\nupstream: http://crm.test\n"
ROUTE = HEAD + "routes:\n  - name: deal.update\n    match: {method: PATCH, path: '/deals/{id}'}\n"
"""A route's own fields begin in line 8, column 5."""


def compiled(*routes: str, sidecar: str = "version: 1\n", **environ: str) -> Config:
    names = [f"routes/{letter}.yaml" for letter in "abc"]
    files = [File(name, name, text.encode()) for name, text in zip(names, routes, strict=False)]
    return compile_config(
        "folder", [File("sidecar.yaml", "sidecar.yaml", sidecar.encode()), *files], [], environ
    )


def lines(error: ConfigError) -> list[str]:
    return [str(problem) for problem in error.problems]


def refused(*routes: str, sidecar: str = "version: 1\n", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compiled(*routes, sidecar=sidecar, **environ)
    return lines(caught.value)


ADA = f"{{name: ada, token_sha256: '{'a' * 64}'}}"

SIDECAR: list[tuple[str, str]] = [
    ("", "1:1: the file is empty; begin with 'version: 1'"),
    ("# only a comment\n", "1:1: the file is empty; begin with 'version: 1'"),
    ("- a", "1:1: the file must be a mapping; begin with 'version: 1'"),
    ("listen: {}", "1:1: missing field 'version'; begin with 'version: 1'"),
    ("version: 2", "1:10: version: '2' is not a version that this sidecar reads; write 1"),
    ("version: [1]", "1:10: version: this must be text"),
    ("version:", "1:1: version is empty; give it a value or remove it"),
    ("version: 1\nlistn: {}", "2:1: unknown field 'listn'; did you mean 'listen'?"),
    (
        "version: 1\nzzz: {}",
        (
            "2:1: unknown field 'zzz'; known are approvals, caps, drain, egress, identity, lanes, "
            "limits, listen, log, mode, "
            "priorities, queue, store, tenants, timeouts, tls, users, version"
        ),
    ),
    ("version: 1\napprovals: {per_run: 0}", "2:22: approvals.per_run: '0' must be from 1 to 1000000"),
    (
        "version: 1\napprovals: {webhook: {url: 'ftp://h', secret: 0123456789abcdef}}",
        "2:28: approvals.webhook.url: this is not a URL; write http://HOST or https://HOST, like https://api.example.com",
    ),
    (
        "version: 1\napprovals: {webhook: {url: 'http://h', secret: short}}",
        (
            "2:48: approvals.webhook.secret: this is too short to sign with; use 16 characters or more, from the "
            "environment: ${NAME}"
        ),
    ),
    (
        "version: 1\napprovals: {webhook: {url: 'http://h'}}",
        "2:22: missing field 'secret' in approvals.webhook",
    ),
    (
        "version: 1\napprovals: {approvers: [{name: ada, token_sha256: x}]}",
        "2:51: approvals.approvers[0].token_sha256: this is not a SHA-256 in hex (64 digits)",
    ),
    (
        f"version: 1\napprovals: {{approvers: [{ADA}, {{name: Ada, token_sha256: '{'b' * 64}'}}]}}",
        "2:127: approvals.approvers[1].name: 'Ada' is listed twice",
    ),
    (
        f"version: 1\napprovals: {{approvers: [{ADA}, {{name: bob, token_sha256: '{'a' * 64}'}}]}}",
        "2:146: approvals.approvers[1].token_sha256: this is another approver's token",
    ),
    ("version: 1\nlisten: 8080", "2:9: listen: '8080' must be a mapping of fields"),
    ("version: 1\nlisten: {prxy: 'a:1'}", "2:10: unknown field 'prxy' in listen; did you mean 'proxy'?"),
    (
        "version: 1\nlisten: {proxy: 8080}",
        "2:17: listen.proxy: '8080' is not an address; write HOST:PORT, like 127.0.0.1:8080",
    ),
    (
        "version: 1\nstore: {url: 'http://h'}",
        "2:14: store.url: this is no store; write embedded, redis://, rediss:// or unix://",
    ),
    (
        "version: 1\nstore: {url: 'redis+cluster://h:1'}",
        "2:9: 'url: redis+...' is not available in this version; name one server, redis://HOST:PORT",
    ),
    ("version: 1\nstore: {lease: 1ms}", "2:16: store.lease: '1ms' must be from 1s to 10m"),
    (
        "version: 1\nstore: {namespace: 'a b'}",
        "2:20: store.namespace: 'a b' is not a name; use letters, digits, '.', '_' and '-', at most 64",
    ),
    (
        "version: 1\nstore: {allow_eviction: yes}",
        "2:25: store.allow_eviction: 'yes' is neither true nor false",
    ),
    (
        "version: 1\nidentity: {tenant: {form: [a]}}",
        "2:21: unknown field 'form' in identity.tenant; did you mean 'from'?",
    ),
    (
        "version: 1\nidentity: {tenant: {from: [header]}}",
        "2:28: identity.tenant.from[0]: 'header' needs a name, like header:X-Agent-Run",
    ),
    (
        "version: 1\nidentity: {run: {from: [cookie]}}",
        (
            "2:25: identity.run.from[0]: unknown source 'cookie'; it is proxy-user, traceparent, "
            "header:NAME or baggage:KEY"
        ),
    ),
    (
        "version: 1\nidentity: {tenant: {pin: a, default: b}}",
        "2:20: identity.tenant: 'pin' stands alone, without 'from' and 'default'",
    ),
    (
        "version: 1\nidentity: {tenant: {pin: 'ü'}}",
        "2:26: identity.tenant.pin: 'ü' is not an identity; use printable ASCII, at most 128 characters",
    ),
    (
        "version: 1\nidentity: {priority: {default: urgent}}",
        "2:32: identity.priority.default: 'urgent' is no priority; 'priorities' has interactive, background",
    ),
    (
        "version: 1\nidentity: {priority: {pin: urgent}}",
        "2:28: identity.priority.pin: 'urgent' is no priority; 'priorities' has interactive, background",
    ),
    ("version: 1\nusers: [{name: a}]", "2:9: missing field 'token_sha256' in users[0]"),
    (
        "version: 1\nusers: [{name: a, token_sha256: secret}]",
        "2:33: users[0].token_sha256: this is not a SHA-256 in hex (64 digits)",
    ),
    ("version: 1\nusers: acme", "2:8: users: 'acme' must be a list; write [...]"),
    ("version: 1\ncaps: {global: 0}", "2:16: caps.global: '0' must be from 1 to 1000000"),
    ("version: 1\ncaps: {global: 0x10}", "2:16: caps.global: '0x10' is not a whole number"),
    (
        "version: 1\ncaps: {per_tennant: 3}",
        "2:8: unknown field 'per_tennant' in caps; did you mean 'per_tenant'?",
    ),
    ("version: 1\nlanes: {red: {}}", "2:9: unknown field 'red' in lanes; did you mean 'read'?"),
    (
        "version: 1\nlanes: {write: {wait: 10}}",
        (
            "2:23: lanes.write.wait: '10' has no unit; write a number and ms, s, m, h or d, like "
            "500ms, 30s or 10m"
        ),
    ),
    (
        "version: 1\nlanes: {write: {on_store_down: alow}}",
        "2:32: lanes.write.on_store_down: 'alow' is not allow or refuse; did you mean 'allow'?",
    ),
    (
        "version: 1\nlanes: {write: {min: 2}}",
        "2:22: lanes.write.min: '2' keeps slots of the global cap, and there is none; write 'caps: {global: ...}'",
    ),
    (
        "version: 1\nlanes: {read: {borrow: true}}",
        "2:24: lanes.read.borrow: 'true' lends what 'min' keeps, and there is none; write 'min' too",
    ),
    (
        "version: 1\ncaps: {global: 3}\nlanes: {read: {min: 2}}",
        (
            "3:21: lanes.read.min: '2' keeps slots of the global cap, where this lane does not count; write "
            "'counted: true'"
        ),
    ),
    (
        "version: 1\ncaps: {global: 3}\ntenants: {a: {min: 3, cap: 2}}",
        "3:20: tenants.a.min: '3' is more than its 'cap' of 2 lets it use",
    ),
    (
        "version: 1\ncaps: {global: 3}\ntenants: {a: {min: 2}, b: {min: 2}}",
        "2:16: caps.global: '3' is less than all 'min' together, which keep 4",
    ),
    (
        "version: 1\ntenants: {a: {wieght: 2}}",
        "2:15: unknown field 'wieght' in tenants.a; did you mean 'weight'?",
    ),
    (
        "version: 1\ntenants: {'a\tb': {}}",
        "2:11: 'a\\tb' in tenants is not an identity; use printable ASCII, at most 128 characters",
    ),
    (
        "version: 1\npriorities: {interactive: 0}",
        "2:27: priorities.interactive: '0' must be from 1 to 1000",
    ),
    ("version: 1\nqueue: {total: many}", "2:16: queue.total: 'many' is not a whole number"),
    ("version: 1\negress: {unmatched: reject}", "2:21: egress.unmatched: 'reject' is not tunnel or deny"),
    (
        "version: 1\negress: {deny: [meta]}",
        "2:17: egress.deny[0]: 'meta' is not metadata or private; did you mean 'metadata'?",
    ),
    (
        "version: 1\negress: {allow: [10.1.2.3/16]}",
        (
            "2:18: egress.allow[0]: '10.1.2.3/16' has bits set behind its prefix length; write the "
            "first address of the /16"
        ),
    ),
    (
        "version: 1\negress: {allow: 10.1.0.0/16}",
        "2:17: egress.allow: '10.1.0.0/16' must be a list; write [...]",
    ),
    (
        "version: 1\ntls: {ca_cert: a}",
        "2:1: 'ca_cert' and 'ca_key' belong together; write both, or neither",
    ),
    (
        "version: 1\ntls: {ca: ephemeral, share: s, ca_cert: a, ca_key: b}",
        "2:11: 'ca: ephemeral' makes an authority and 'ca_cert' names one; write one of them",
    ),
    (
        "version: 1\ntls: {ca: ephemeral}",
        "2:11: agents cannot know an authority that is made at start; name a folder of theirs in 'share'",
    ),
    (
        "version: 1\ntls: {share: s}",
        "2:14: there is no authority to be shared; write 'ca: ephemeral', or 'ca_cert'",
    ),
    (
        'version: 1\nlisten: {transparent: "127.0.0.1:15001"}',
        (
            "2:23: listen.transparent: '127.0.0.1:15001' is more than a port; write the number alone, the host is "
            "always loopback"
        ),
    ),
    (
        "version: 1\nlisten: {transparent: 0}",
        "2:23: listen.transparent: '0' must be from 1 to 65535",
    ),
    ("version: 1\nmode: observ", "2:7: mode: 'observ' is not enforce or observe; did you mean 'observe'?"),
    ("version: 1\nlog: {level: loud}", "2:14: log.level: 'loud' is not debug, info, warning or error"),
    (
        "version: 1\nlimits: {body: 1024}",
        "2:16: limits.body: '1024' has no unit; write a number and B, KiB, MiB or GiB, like 256KiB or 1MiB",
    ),
    ("version: 1\ntimeouts: {connect: 0}", "2:21: timeouts.connect: '0' must be longer than nothing"),
    ("version: 1\ndrain: [1s]", "2:8: drain: this must be text"),
    (
        "version: 1\ndrain: ${T}",
        "2:8: the environment variable 'T' is not set; set it, or give it a default: ${T:-...}",
    ),
]


@pytest.mark.parametrize(("text", "line"), SIDECAR)
def test_a_mistake_in_the_sidecar_file(text: str, line: str) -> None:
    assert refused(sidecar=text) == [f"sidecar.yaml:{line}"]


TOOL: list[tuple[str, str]] = [
    (
        HEAD + "tls: {client_cert: a}",
        "5:1: 'client_cert' and 'client_key' belong together; write both, or neither",
    ),
    ("version: 1\nhosts: [a.b]", "1:1: missing field 'tool'"),
    (
        "version: 1\ntool: crm",
        "1:1: a tool needs 'hosts', 'upstream' or both; without them no call reaches it",
    ),
    (
        "version: 1\ntool: 'a/b'\nhosts: [a.b]",
        "2:7: tool: 'a/b' is not a name; use letters, digits, '.', '_' and '-', at most 64",
    ),
    (
        "version: 1\ntool: crm\nhosts: ['http://a.b']",
        (
            "3:9: hosts[0]: '//a.b' is not a port in host 'http://a.b'; write host or host:port, "
            "without a scheme"
        ),
    ),
    (
        "version: 1\ntool: crm\nhosts: a_b..c",
        "3:8: hosts: 'a_b..c' is not a host; write api.example.com or *.example.com",
    ),
    ("version: 1\ntool: crm\nhosts: [a.b, A.b.]", "3:14: hosts[1]: 'A.b.' is taken by routes/a.yaml:3"),
    (
        "version: 1\ntool: crm\nupstream: a.b",
        "3:11: upstream: 'a.b' is not a URL; write http://HOST or https://HOST, like https://api.example.com",
    ),
    (HEAD + "timeout: 0", "5:10: timeout: '0' must be longer than nothing"),
    (HEAD + "timout: 1s", "5:1: unknown field 'timout'; did you mean 'timeout'?"),
    (HEAD + "caps: {writ: 2}", "5:8: unknown name 'writ' in caps; did you mean 'write'?"),
    (HEAD + "caps: {zzz: 2}", "5:8: unknown name 'zzz' in caps; known are draft, high_risk, read, write"),
    (HEAD + "caps: {write: lots}", "5:15: caps.write: 'lots' is not a whole number"),
    (
        HEAD + "caps: {write: auto 5..2}",
        "5:15: caps.write: 'auto 5..2' has no bounds that a cap can have; write 'auto LEAST..MOST', like auto 2..50",
    ),
    (
        HEAD + "rate: 20000 per 1d",
        "5:7: rate: '20000 per 1d' counts more than 10000; write a shorter period, like 600 per 1m",
    ),
    (ROUTE + "    cost: 0", "8:11: cost of route 'deal.update': a cost must be from 1 to 1000"),
    (
        ROUTE + "    cost: 'n {body.n}'",
        "8:11: cost of route 'deal.update': a cost is a number or one field, like {body.inputs}",
    ),
    (
        HEAD + "credential: Authorization",
        "5:13: credential: 'Authorization' is not a place; write header:NAME or query:NAME",
    ),
    (
        HEAD + "credential: [header:A, cookie:b]",
        "5:24: credential[1]: 'cookie:b' is not a place; write header:NAME or query:NAME",
    ),
    (
        HEAD + "clients: [{header: X-Retry}]",
        "5:11: missing field 'user_agent' in clients[0]",
    ),
    (
        HEAD + "clients: [{user_agent: a, header: Retry-After}]",
        "5:35: clients[0].header: 'Retry-After' has another meaning; name the field that the SDK looks for",
    ),
    (
        HEAD + "clients: [{user_agent: a, statuses: {5xx: 200}}]",
        "5:43: clients[0].statuses.5xx: '200' must be from 400 to 599",
    ),
    (
        HEAD + "downstream_key: {retention: 1h}",
        "5:1: downstream_key needs exactly one of 'header', 'query' and 'body'",
    ),
    (
        HEAD + "downstream_key: {header: A, query: b}",
        "5:1: downstream_key needs exactly one of 'header', 'query' and 'body'",
    ),
    (
        HEAD + "downstream_key: {header: 'A B'}",
        "5:26: downstream_key.header: 'A B' is not the name of a header or a parameter",
    ),
    (HEAD + "routes: {}", "5:9: routes: this must be a list; write [...]"),
    (HEAD + "routes: [x]", "5:10: route 1: 'x' must be a mapping of fields"),
    (HEAD + "routes: [{name: a}]", "5:10: missing field 'match' in route 'a'"),
    (HEAD + "routes: [{match: {path: /a}}]", "5:10: missing field 'name' in route 1"),
    (HEAD + "routes: [{name: a, match: {}}]", "5:27: missing field 'path' in match of route 'a'"),
    (
        HEAD + "routes: [{name: default, match: {path: /a}}]",
        "5:17: name of route 'default': 'default' is taken by what no route names",
    ),
    (
        HEAD + "routes:\n  - {name: a, match: {path: /a}}\n  - {name: a, match: {path: /b}}",
        "7:12: name of route 'a': 'a' is taken by routes/a.yaml:6",
    ),
    (
        HEAD + "routes: [{name: a, match: {path: deals}}]",
        "5:34: match.path of route 'a': path 'deals' must begin with a slash",
    ),
    (
        HEAD + "routes: [{name: a, match: {path: '/a/{x}/{x}'}}]",
        "5:34: match.path of route 'a': path '/a/{x}/{x}' uses the parameter 'x' twice",
    ),
    (
        HEAD + "routes: [{name: a, match: {path: '/a/x{y}'}}]",
        (
            "5:34: match.path of route 'a': 'x{y}' in path '/a/x{y}': a parameter must be a whole "
            "segment, like /{id}/"
        ),
    ),
    (
        HEAD + "routes: [{name: a, match: {path: /a, method: patch}}]",
        "5:46: match.method of route 'a': 'patch' is not a method; write it in capitals, like PATCH",
    ),
    (HEAD + "routes: [{name: a, match: {path: /a, when: 'body.x >'}}]", "5:53: match.when of route 'a': "),
    (
        HEAD + "routes: [{name: a, match: {path: /a, when: 'bdy.x > 0'}}]",
        "5:44: match.when of route 'a': unknown name 'bdy' in the condition; ",
    ),
    (
        ROUTE + "    lane: writ",
        (
            "8:11: lane of route 'deal.update': 'writ' is not read, draft, write or high_risk; did "
            "you mean 'write'?"
        ),
    ),
    (ROUTE + "    locsk: []", "8:5: unknown field 'locsk' in route 'deal.update'; did you mean 'locks'?"),
    (ROUTE + "    locks: deal", "8:12: locks of route 'deal.update': 'deal' must be a list; write [...]"),
    (ROUTE + "    locks: [[a]]", "8:13: locks[0] of route 'deal.update': this must be a mapping of fields"),
    (
        ROUTE + "    locks: ['deal:{pth.id}']",
        "8:20: locks[0] of route 'deal.update': unknown source 'pth'; did you mean 'path'?",
    ),
    (
        ROUTE + "    locks: ['deal:{path.di}']",
        "8:25: locks[0] of route 'deal.update': unknown path parameter 'di'; known are id",
    ),
    (
        ROUTE + "    locks: ['deal:{path.id|lowr}']",
        "8:28: locks[0] of route 'deal.update': unknown filter 'lowr'; did you mean 'lower'?",
    ),
    (
        ROUTE + "    locks: ['deal:{path.id']",
        "8:19: locks[0] of route 'deal.update': '{' is never closed; write '{{' for a brace",
    ),
    (
        ROUTE + "    locks: ['deal:{body.a[}']",
        "8:25: locks[0] of route 'deal.update': 'a[' is not a JMESPath selector: ",
    ),
    (
        ROUTE + "    locks: ['a:{query.x}{query.y}']",
        (
            "8:25: locks[0] of route 'deal.update': two values need text between them, or nobody "
            "can tell where one ends"
        ),
    ),
    (
        ROUTE + "    locks: [{key: 'deal:{path.di}'}]",
        "8:31: locks[0].key of route 'deal.update': unknown path parameter 'di'; known are id",
    ),
    (
        ROUTE + "    locks: [{kye: a}]",
        (
            "8:13: missing field 'key' in locks[0] of route 'deal.update'|8:14: unknown field 'kye' "
            "in locks[0] of route 'deal.update'; did you mean 'key'?"
        ),
    ),
    (
        ROUTE + "    locks: [{key: a, idle: 2m}]",
        "8:22: 'idle' is how long a run keeps a lock; write 'hold: run' beside it, or remove it",
    ),
    (
        ROUTE + "    locks: [{key: a, hold: run, idle: 1ms}]",
        "8:39: locks[0].idle of route 'deal.update': '1ms' must be from 1s to 24h",
    ),
    (
        ROUTE + "    locks: [{key: a, hold: rn}]",
        "8:28: locks[0].hold of route 'deal.update': 'rn' is not call or run; did you mean 'run'?",
    ),
    (
        ROUTE + "    fresh: ['deal:{path.nme}']",
        "8:25: fresh[0] of route 'deal.update': unknown path parameter 'nme'; known are id",
    ),
    (
        ROUTE + "    observes: ['deal:{path.id']",
        "8:22: observes[0] of route 'deal.update': '{' is never closed; write '{{' for a brace",
    ),
    (
        ROUTE + "    intent: nothing",
        "8:13: intent of route 'deal.update': 'nothing' must be a mapping of fields",
    ),
    (
        ROUTE + "    intent: {windw: 1s}",
        "8:14: unknown field 'windw' in intent of route 'deal.update'; did you mean 'window'?",
    ),
    (
        ROUTE + "    intent: {key: '{body.x'}",
        "8:20: intent.key of route 'deal.update': '{' is never closed; write '{{' for a brace",
    ),
    (
        ROUTE + "    intent: {until: chnage}",
        "8:21: intent.until of route 'deal.update': 'chnage' is not change or window; did you mean 'change'?",
    ),
    (
        ROUTE + "    intent: {window: 1:30}",
        (
            "8:22: intent.window of route 'deal.update': '1:30' is not a duration; write a number "
            "and ms, s, m, h or d, like 500ms, 30s or 10m"
        ),
    ),
    (
        ROUTE + "    store: {statuses: [2xx, 4040]}",
        (
            "8:29: store.statuses[1] of route 'deal.update': '4040' is not a status; write one like "
            "404, or a class like 2xx"
        ),
    ),
    (
        ROUTE + "    store: {statuses: [429]}",
        (
            "8:24: store.statuses[0] of route 'deal.update': '429' is never stored: the same call "
            "may well succeed a moment later"
        ),
    ),
    (
        ROUTE + "    unknown: {resolve: resend}",
        (
            "8:24: unknown.resolve of route 'deal.update': 'resend' may apply it twice: the tool "
            "has no 'downstream_key', "
            "and only PUT and DELETE replace a state; write 'hold'"
        ),
    ),
    (
        ROUTE + "    unknown: {resolve: probe}",
        (
            "8:24: unknown.resolve of route 'deal.update': 'probe' needs 'unknown.probe' beside it: a 'path' to ask, "
            "and 'applied', what its answer must say"
        ),
    ),
    (
        ROUTE + "    unknown: {probe: {path: /a}}",
        "8:22: missing field 'applied' in unknown.probe of route 'deal.update'",
    ),
    (
        ROUTE + "    unknown: {probe: {applied: 'answer.status == 200'}}",
        "8:22: missing field 'path' in unknown.probe of route 'deal.update'",
    ),
    (
        ROUTE + "    unknown: {probe: {path: /a, aplied: a}}",
        (
            "8:22: missing field 'applied' in unknown.probe of route 'deal.update'|8:33: unknown field 'aplied' in "
            "unknown.probe of route 'deal.update'; did you mean 'applied'?"
        ),
    ),
    (
        ROUTE + "    unknown: {resolve: hold, probe: {path: /a, applied: 'answer.status == 200'}}",
        "8:30: a probe is of no use with 'resolve: hold'; write 'resolve: probe', or remove it",
    ),
    (
        ROUTE + "    intent: none\n    unknown: {probe: {path: /a, applied: 'answer.status == 200'}}",
        "9:15: a route without an intent knows no retry that could ask; remove 'intent: none', or the probe",
    ),
    (
        ROUTE + "    unknown: {probe: {path: a, applied: 'answer.status == 200'}}",
        (
            "8:29: unknown.probe.path of route 'deal.update': 'a' is no target; begin with '/', and write no space, "
            "'#' or '\\'"
        ),
    ),
    (
        ROUTE + "    unknown: {probe: {path: '/{pth.id}', applied: 'answer.status == 200'}}",
        "8:32: unknown.probe.path of route 'deal.update': unknown source 'pth'; did you mean 'path'?",
    ),
    (
        ROUTE + "    unknown: {probe: {path: /a, applied: 'answr.status == 200'}}",
        (
            "8:42: unknown.probe.applied of route 'deal.update': unknown name 'answr' in the condition; it may read "
            "answer, body, header, host, method, path, query, run, tenant, workflow"
        ),
    ),
    (
        ROUTE + "    unknown: {probe: {path: /a, applied: 'body.a == 1'}}",
        (
            "8:42: unknown.probe.applied of route 'deal.update': 'body.a == 1' reads nothing of the answer; write what "
            "'answer' must say"
        ),
    ),
    (
        ROUTE + "    unknown: {probe: {path: /a, applied: 'answer.status == 200', attempts: 11}}",
        "8:76: unknown.probe.attempts of route 'deal.update': '11' must be from 1 to 10",
    ),
    (
        ROUTE + "    unknown: {probe: {path: /a, applied: 'answer.status == 200', answer: {body: 'nope'}}}",
        (
            "8:81: unknown.probe.answer.body of route 'deal.update': unknown name 'nope' in the condition; it may read "
            "answer, body, header, host, method, path, query, run, tenant, workflow"
        ),
    ),
    (
        ROUTE
        + "    unknown: {probe: {path: /a, applied: 'answer.status == 200', answer: {headers: {X: é}}}}",
        "8:88: unknown.probe.answer.headers.X of route 'deal.update': 'é' is no field value; write printable ASCII",
    ),
    (
        ROUTE + "    partial: {when: 'answer.status =='}",
        "8:38: partial.when of route 'deal.update': the condition is not valid CEL at 1:17: ",
    ),
    (ROUTE + "    order: {entity: a}", "8:5: an order needs 'requires', 'sets' or both"),
    (
        ROUTE + "    approval: {whn: a}",
        "8:16: unknown field 'whn' in approval of route 'deal.update'; did you mean 'when'?",
    ),
    (ROUTE + "    approval: yes", "8:15: approval of route 'deal.update': 'yes' must be a mapping of fields"),
    (
        ROUTE + "    approval: {when: 'amount > 1'}",
        (
            "8:22: approval.when of route 'deal.update': unknown name 'amount' in the condition; "
            "it may read body, header, host, method, path, query, run, tenant, workflow"
        ),
    ),
    (
        ROUTE + "    approval: {hold: 2h}",
        "8:22: 'hold' is longer than 'ttl': nobody could answer any more; write less",
    ),
    (
        ROUTE + "    approval: {ttl: 0}",
        "8:21: approval.ttl of route 'deal.update': '0' must be longer than nothing",
    ),
    (
        ROUTE + "    approval: {approvers: 0}",
        "8:27: approval.approvers of route 'deal.update': '0' must be from 1 to 5",
    ),
    (
        ROUTE + "    approval: {show: {to: '{bdy.to}'}}",
        "8:29: approval.show.to of route 'deal.update': unknown source 'bdy'; did you mean 'body'?",
    ),
    (
        ROUTE + "    approval: {show: {to: '{path.no}'}}",
        "8:34: approval.show.to of route 'deal.update': unknown path parameter 'no'; known are id",
    ),
    (
        ROUTE + "    approval: {show: ['{body.to}']}",
        "8:22: approval.show of route 'deal.update': this must be a mapping",
    ),
    (ROUTE + "    mode: off", "8:11: mode of route 'deal.update': 'off' is not enforce or observe"),
    (ROUTE + "    locks:", "8:5: locks of route 'deal.update' is empty; give it a value or remove it"),
]


@pytest.mark.parametrize(("text", "line"), TOOL)
def test_a_mistake_in_a_tool_file(text: str, line: str) -> None:
    expected = sorted(f"routes/a.yaml:{one}" for one in line.split("|"))
    found = refused(text)
    if line.endswith((": ", "; ")):
        assert [one[: len(expected[0])] for one in found] == expected
    else:
        assert found == expected


def test_one_mistake_never_hides_another() -> None:
    bad = HEAD + (
        "timout: 1s\n"
        "caps: {writ: 2}\n"
        "routes:\n"
        "  - name: a\n"
        "    match: {path: '/a/{id}', mehtod: GET}\n"
        "    lane: wirte\n"
        "    locks: ['{path.di}']\n"
        "    intent: {key: '{bdy}', until: never}\n"
        "  - match: {path: '/b/{id}'}\n"
        "    locks: ['{path.di}']\n"
        "  - name: b/c\n"
        "    match: {path: '/b/{id}'}\n"
        "    locks: ['{path.di}']\n"
    )
    places = [line.split(": ")[0].removeprefix("routes/a.yaml:") for line in refused(bad)]
    assert places == [
        "5:1",
        "6:8",
        "9:30",
        "10:11",
        "11:20",
        "12:21",
        "12:35",
        "13:5",
        "14:20",
        "15:11",
        "17:20",
    ]


def test_problems_come_in_the_order_of_files_and_lines() -> None:
    found = refused(
        "version: 1\ntool: a\n", "tool: b\nhosts: [a.b]\n", sidecar="version: 1\nmode: x\ndrain: y\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        "routes/a.yaml:1:1",
        "routes/b.yaml:1:1",
        "sidecar.yaml:2:7",
        "sidecar.yaml:3:8",
    ]


def test_what_two_files_claim_is_told_where_it_is_claimed_again() -> None:
    other = HEAD.replace("tool: crm", "tool: crm2")
    assert refused(HEAD, HEAD) == [
        "routes/b.yaml:2:7: tool: 'crm' is taken by routes/a.yaml:2",
        "routes/b.yaml:3:9: hosts[0]: 'crm.test' is taken by routes/a.yaml:3",
    ]
    assert refused(HEAD, other) == ["routes/b.yaml:3:9: hosts[0]: 'crm.test' is taken by routes/a.yaml:3"]


SECRETS = [
    ROUTE + "    intent: {window: '${S}'}",
    ROUTE + "    locks: ['${S}{pth}']",
    ROUTE + "    lane: ${S}",
    ROUTE + "    store: {statuses: ['${S}']}",
    HEAD + "timeout: ${S}",
    HEAD + "caps: {write: '${S}'}",
    HEAD.replace("crm.test]", "'${S}/{', '${S}/{']"),
    HEAD.replace("http://crm.test", "ftp://${S}"),
    HEAD + "credential: ${S}",
    HEAD + "routes: [{name: '${S} ', match: {path: '${S}', when: '${S} +'}}]",
    HEAD + "routes: [{name: '${S}', match: {path: /a}}, {name: '${S}', match: {path: /b}, mode: x}]",
]


@pytest.mark.parametrize("text", SECRETS)
def test_what_came_from_the_environment_is_never_shown(text: str) -> None:
    found = refused(text, S="hunter2")
    assert found
    assert "hunter2" not in "\n".join(found)
    assert "${S}" in "\n".join(found)


def test_a_value_of_the_environment_is_named_by_its_variable() -> None:
    (line,) = refused(HEAD + "timeout: ${S}", S="hunter2")
    assert line.startswith("routes/a.yaml:5:10: timeout: the value of ${S} is not a duration; write a number")


def test_paths_of_certificates_begin_at_the_folder() -> None:
    config = compiled(
        HEAD + "tls: {upstream_ca: ca.pem, client_cert: /etc/me.crt, client_key: me.key}",
        sidecar="version: 1\ntls: {ca_cert: own/ca.crt, ca_key: /etc/ca.key}",
    )
    assert config.process.tls == Tls("folder/own/ca.crt", "/etc/ca.key", "")
    assert config.sites[0].tool.trust == Trust("folder/ca.pem", "/etc/me.crt", "folder/me.key")


def test_an_authority_may_be_made_at_start() -> None:
    config = compiled(
        ROUTE, sidecar="version: 1\nlisten: {transparent: 15001}\ntls: {ca: ephemeral, share: s}"
    )
    assert config.process.tls == Tls(ephemeral=True, share="folder/s")
    assert config.process.tls.intercepts
    assert config.process.listen.transparent == 15001
    assert config.table.opens(Call.of_url("c", "CONNECT", "crm.test:443", Headers([])))


BLIND = (
    "routes/a.yaml:3:1: warning: CONNECT to crm.test is tunnelled blind, not gated; make an authority (sidecar ca "
    "init) and name it in 'tls', or "
)
WAYS = "use http://127.0.0.1:8080/_tool/crm/... or http://crm.test/..."

WARNINGS: list[tuple[str, str, Sequence[str]]] = [
    (
        "version: 1\nlanes: {high_risk: {durable: true}}",
        HEAD,
        [
            "sidecar.yaml:2:21: warning: replicas are not waited for in this version: 'durable' has no effect",
        ],
    ),
    (
        "version: 1\nmode: observe",
        HEAD,
        ["sidecar.yaml:2:1: warning: mode: observe decides and logs; it neither refuses nor delays"],
    ),
    (
        "version: 1",
        HEAD + "mode: observe",
        ["routes/a.yaml:5:1: warning: mode: observe decides and logs; it neither refuses nor delays"],
    ),
    (
        "version: 1",
        ROUTE + "    mode: observe",
        ["routes/a.yaml:8:5: warning: mode: observe decides and logs; it neither refuses nor delays"],
    ),
    (
        "version: 1\nlisten: {proxy: '0.0.0.0:8080'}",
        HEAD,
        [
            (
                "sidecar.yaml:2:10: warning: who reaches this address is any tenant it likes; "
                "listen on 127.0.0.1, or name 'users'"
            )
        ],
    ),
    (
        "version: 1\nstore: {allow_eviction: true}",
        HEAD,
        ["sidecar.yaml:2:9: warning: the store may evict keys, and with them locks and answers"],
    ),
    (
        "version: 1\negress: {deny: []}",
        HEAD,
        [
            (
                "sidecar.yaml:2:10: warning: 'metadata' is not denied: agents can reach cloud "
                "credentials through the sidecar"
            ),
            (
                "sidecar.yaml:2:10: warning: 'private' is not denied: agents can reach every "
                "service of the local network through the sidecar"
            ),
        ],
    ),
    (
        "version: 1",
        ROUTE + "    locks: []",
        [
            (
                "routes/a.yaml:8:5: warning: route 'deal.update' locks nothing: two runs may change "
                "one record at once"
            )
        ],
    ),
    (
        "version: 1",
        ROUTE + "    intent: none",
        ["routes/a.yaml:8:5: warning: route 'deal.update' knows no duplicates: a retry runs again"],
    ),
    (
        "version: 1",
        ROUTE.replace("PATCH", "POST") + "    locks: []\n    intent: {until: change}",
        [
            (
                "routes/a.yaml:9:14: warning: route 'deal.update' locks no entity, so no change "
                "ends its window: 'until: change' is 'window'"
            )
        ],
    ),
    (
        "version: 1",
        ROUTE + "  - {name: later, match: {method: PATCH, path: /deals/new}}",
        [
            (
                "routes/a.yaml:8:6: warning: route 'later' can never match; 'deal.update' before it "
                "takes all its calls"
            )
        ],
    ),
    (
        "version: 1",
        ROUTE + "    cost: 5",
        [
            (
                "routes/a.yaml:8:5: warning: route 'deal.update' costs nothing: neither it, its tool nor a tenant "
                "has a 'rate'"
            )
        ],
    ),
    ("version: 1\ntenants: {acme: {rate: 5 per 1s}}", ROUTE + "    cost: 5", []),
    (
        "version: 1",
        HEAD.replace("http://", "https://"),
        [BLIND + WAYS],
    ),
    ("version: 1\ntls: {ca_cert: a, ca_key: b}", HEAD.replace("http://", "https://"), []),
    ("version: 1\ntls: {ca: ephemeral, share: s}", HEAD.replace("http://", "https://"), []),
    (
        "version: 1\nlisten: {transparent: 15001}",
        HEAD.replace("http://", "https://"),
        [BLIND.replace("gated;", "gated, and refused where it was redirected;") + WAYS],
    ),
    (
        f"version: 1\nlisten: {{transparent: 15001}}\nusers: [{{name: acme, token_sha256: {'0' * 64}}}]",
        HEAD,
        [
            (
                "sidecar.yaml:2:10: warning: redirected connections carry no proxy credentials, and 'users' has them "
                "refused"
            )
        ],
    ),
    (
        "version: 1",
        HEAD.replace("upstream: http://crm.test\n", ""),
        [BLIND + "write 'upstream: https://crm.test', and " + WAYS],
    ),
]


@pytest.mark.parametrize(("sidecar", "tool", "warnings"), WARNINGS)
def test_what_loads_and_does_less_than_it_seems_is_warned_of(
    sidecar: str, tool: str, warnings: Sequence[str]
) -> None:
    assert [str(warning) for warning in compiled(tool, sidecar=sidecar).warnings] == warnings


def route_of(text: str, sidecar: str = "version: 1") -> Route:
    (site,) = compiled(text, sidecar=sidecar).sites
    return site.routes[0]


def test_a_route_that_says_little_is_locked_and_remembered() -> None:
    route = route_of(ROUTE)
    assert (route.lane.name, [lock.text for lock in route.locks]) == ("write", ["crm:{path}"])
    assert route.intent is not None
    assert (route.intent.key, route.intent.explicit, route.intent.window_ms) == (None, "trust", 60_000)
    assert (route.quarantine, route.resolve, route.observe) == ("deadline", None, False)


def test_a_route_of_safe_methods_reads_and_asks_for_nothing() -> None:
    route = route_of(ROUTE.replace("PATCH", "[GET, HEAD]"))
    assert (route.lane.name, route.locks, route.intent) == ("read", (), None)


def test_a_written_key_is_trusted_over_the_callers() -> None:
    intent = route_of(ROUTE + "    intent: {key: '{path.id}'}").intent
    assert intent is not None
    assert (intent.explicit, intent.window_ms) == ("ignore", 600_000)


def test_locks_and_intent_are_switched_off_in_so_many_words() -> None:
    route = route_of(ROUTE + "    locks: []\n    intent: none")
    assert (route.locks, route.intent) == ((), None)


def test_what_is_high_risk_keeps_its_locks_until_somebody_knows() -> None:
    assert route_of(ROUTE + "    lane: high_risk").quarantine == "resolved"
    assert (
        route_of(ROUTE + "    lane: high_risk\n    unknown: {quarantine: deadline}").quarantine == "deadline"
    )


def test_the_nearest_word_wins() -> None:
    assert route_of(ROUTE + "    timeout: 5s").tool.timeout_ms == 5_000
    assert route_of(ROUTE).tool.timeout_ms == 30_000
    assert route_of(ROUTE + "    body_limit: 2KiB", "version: 1\nlimits: {body: 8KiB}").body_limit == 2048
    assert route_of(ROUTE, "version: 1\nlimits: {body: 8KiB}").body_limit == 8192
    assert route_of(ROUTE, "version: 1\nmode: observe").observe
    assert not route_of(ROUTE + "    mode: enforce", "version: 1\nmode: observe").observe
    assert route_of(ROUTE, "version: 1\ntimeouts: {connect: 2s}").tool.connect_timeout_ms == 2_000


def test_statuses_are_classes_and_numbers() -> None:
    statuses = route_of(ROUTE + "    store: {statuses: [2xx, 404, 4xx]}").store.statuses
    assert {200, 299, 404, 400} <= statuses
    assert not {401, 407, 408, 425, 429, 500} & statuses


def test_one_status_of_a_client_counts_before_its_class() -> None:
    text = (
        HEAD + "clients: [{user_agent: 'A/*', statuses: {503: 429, 5xx: 409}, header: X}, {user_agent: b}]\n"
    )
    first, second = compiled(text).sites[0].tool.clients
    assert [first.statuses.get(status) for status in (499, 500, 503, 599)] == [None, 409, 429, 409]
    assert (first.header, first.retry, second.statuses) == ("X", "retryable", {})


def test_an_upstream_key_or_a_replacing_method_allows_to_send_again() -> None:
    resend = "    unknown: {resolve: resend}"
    assert route_of(ROUTE.replace("PATCH", "PUT") + resend).resolve == "resend"
    honoured = ROUTE.replace("routes:", "downstream_key: {header: Idempotency-Key}\nroutes:")
    assert route_of(honoured + resend).resolve == "resend"


def test_rates_of_tool_tenant_and_route_are_all_counted_by_the_routes_cost() -> None:
    head = HEAD + "rate: 100 per 10s\ncaps: {write: auto, read: auto 2..9}\n"
    text = head + ROUTE.removeprefix(HEAD) + "    rate: 3 per 1s\n    cost: '{body.inputs}'\n"
    config = compiled(text, sidecar="version: 1\ntenants: {acme: {rate: 5 per 1m}}")
    (site,) = config.sites
    (route,) = site.routes
    who = Identity("acme", "", "", "interactive")
    tool = Rate("tool:crm", 100, 10_000)
    _, caps, rates = route.standing.of(who)
    assert rates == (Rate("tenant:acme", 5, 60_000), tool, Rate("route:crm:deal.update", 3, 1_000))
    assert caps == (AutoCap("tool:crm:write", 1, 200),)
    assert route.cost is not None
    assert route.cost.reads_body
    assert site.read.standing.of(who)[1:] == ((AutoCap("tool:crm:read", 2, 9),), (tool,))


def test_a_lane_keeps_the_defaults_it_does_not_name() -> None:
    lanes = compiled(sidecar="version: 1\nlanes: {read: {cap: 9}, high_risk: {wait: 1s}}").process.lanes
    assert lanes["read"] == Lane("read", 9, 2_000, "allow", counted=False, durable=False)
    assert lanes["draft"] == Lane("draft", None, 10_000, "allow", counted=True, durable=False)
    assert lanes["write"] == Lane("write", None, 10_000, "refuse", counted=True, durable=False)
    assert lanes["high_risk"] == Lane("high_risk", None, 1_000, "refuse", counted=True, durable=False)


def test_the_fleet_has_its_caps_and_its_tenants_their_own() -> None:
    fleet = compiled(
        sidecar="version: 1\ncaps: {global: 40, per_tenant: 5}\ntenants: {acme: {cap: 9, queue: 3}}\nqueue: {total: 7}"
    ).process.fleet
    assert (fleet.cap, fleet.per_tenant, fleet.per_workflow, fleet.total_queue) == (40, 5, None, 7)
    assert fleet.tenants == {"acme": Tenant(weight=1, cap=9, queue=3)}


def test_a_pin_has_no_sources_and_a_source_no_default_keeps_the_usual_one() -> None:
    identity = compiled(
        sidecar="version: 1\nidentity: {tenant: {pin: acme}, workflow: {from: [proxy-user]}}"
    ).identity
    assert (identity.tenant.pin, identity.tenant.sources) == ("acme", ())
    assert ([source.text for source in identity.workflow.sources], identity.workflow.default) == (
        ["proxy-user"],
        "default",
    )


def test_a_user_is_pinned_to_a_tenant_that_has_his_name_if_no_other() -> None:
    digest = "ab" * 32
    users = f"version: 1\nusers: [{{name: a, token_sha256: {digest}}}, {{name: b, token_sha256: {digest}, tenant: c}}]"
    assert {user.name: user.tenant for user in compiled(sidecar=users).identity.users.values()} == {
        "a": "a",
        "b": "c",
    }


def test_a_folder_without_files_has_every_default() -> None:
    config = compile_config("folder", [], [], {})
    assert (config.process.listen.proxy, config.process.listen.admin) == (
        ("127.0.0.1", 8080),
        ("127.0.0.1", 9901),
    )
    assert (config.process.store.url, config.process.store.state, config.process.store.lease_ms) == (
        "embedded",
        "folder/.sidecar",
        15_000,
    )
    assert (config.sites, config.process.mode, config.process.drain_ms, config.process.egress.deny) == (
        (),
        "enforce",
        25_000,
        {"metadata", "private"},
    )


def test_the_digest_tells_contents_apart_and_not_environments() -> None:
    text = HEAD + "timeout: ${T}"
    assert compiled(text, T="1s").digest == compiled(text, T="2s").digest
    assert compiled(text, T="1s").digest != compiled(text + " ", T="1s").digest


WORDS = """version tool hosts upstream caps write read routes name match path method when lane locks key hold intent
window until store statuses unknown resolve probe users identity tenant from pin listen proxy egress allow lanes wait
downstream_key header credential priorities tenants weight a ${A} 1 x: *a"""
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    KEYS,
    st.text(alphabet="az09{}[]|.:/'\"$ ~*&!-#\n\u0130\x7f", max_size=12),
    st.sampled_from(
        [
            "1",
            "10s",
            "/a/{id}",
            "{path.id}",
            "{body.a[0].b}",
            "2xx",
            "none",
            "body.a > 1",
            "a.test:80",
            "${A}",
        ]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(TREES, TREES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_no_tree_makes_the_compiler_fail(sidecar: object, tool: object) -> None:
    files = [
        File("sidecar.yaml", "sidecar.yaml", yaml.safe_dump(sidecar).encode()),
        File("routes/a.yaml", "routes/a.yaml", yaml.safe_dump(tool).encode()),
    ]
    try:
        compile_config("folder", files, [], {"A": "b"})
    except ConfigError as refusal:
        told = refusal.problems
        assert told  # good, or told what is wrong: there is no third


@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.text(alphabet="{}[]:,'\"&*!|> \n\t-#a1$", max_size=3)), max_size=3
    )
)
@settings(max_examples=150, deadline=None)
def test_no_damage_to_a_good_file_makes_the_compiler_fail(damage: list[tuple[int, str]]) -> None:
    text = (
        ROUTE
        + "    lane: write\n    locks: ['deal:{path.id}', {key: 'x:{body.a}'}]\n"
        + "    intent: {key: '{body}', window: 10m}\n"
    )
    for place, piece in damage:
        text = text[:place] + piece + text[place + len(piece) :]
    try:
        compiled(text)
    except ConfigError as refusal:
        told = refusal.problems
        assert told  # good, or told what is wrong: there is no third


def test_a_route_that_wants_more_approvers_than_there_are_is_refused() -> None:
    sidecar = f"version: 1\napprovals: {{approvers: [{ADA}]}}"
    assert refused(ROUTE + "    approval: {approvers: 2}", sidecar=sidecar)[0].startswith(
        "routes/a.yaml:8:27: approval.approvers of route 'deal.update': '2' is more than "
        "'approvals.approvers' in sidecar.yaml has: 1"
    )


def test_a_route_that_wants_an_approval_asks_last_and_never_without_the_store() -> None:
    sidecar = (
        f"version: 1\napprovals: {{per_run: 2, per_tenant: 9, approvers: [{ADA}], "
        "webhook: {url: 'https://chat.test/h', secret: '${HOOK}'}}"
    )
    lane = "    lane: draft\n    approval: {hold: 0, ttl: 5m, show: {deal: '{path.id}'}}"
    config = compiled(ROUTE + lane, sidecar=sidecar, HOOK="0123456789abcdef")
    (route,) = config.sites[0].routes
    (spec,) = route.guards
    assert isinstance(spec, ApprovalSpec)
    assert (spec.hold_ms, spec.ttl_ms, spec.approvers, spec.when) == (0, 300_000, 1, None)
    assert (spec.per_run, spec.per_tenant, spec.announced, spec.asks) == (2, 9, True, True)
    assert route.lane.store_down == "refuse"
    assert route.reads_body
    assert config.process.approvals == Approvals(
        {"ada": bytes.fromhex("aa" * 32)}, Webhook("https://chat.test/h", "0123456789abcdef"), 2, 9
    )
    (again,) = pickle.loads(_sent(config)).sites[0].routes[0].guards
    assert (again.ttl_ms, [label for label, _ in again.show]) == (300_000, ["deal"])


def _sent(config: Config) -> bytes:
    pipe = io.BytesIO()
    _Sender(pipe, pickle.HIGHEST_PROTOCOL).dump(config)
    return pipe.getvalue()


def test_a_route_that_only_observes_asks_nobody() -> None:
    (route,) = compiled(ROUTE + "    mode: observe\n    approval: {}").sites[0].routes
    assert [spec.asks for spec in route.guards if isinstance(spec, ApprovalSpec)] == [False]


def test_what_a_webhook_is_and_what_signs_it_is_never_shown() -> None:
    sidecar = (
        "version: 1\napprovals: {webhook: {url: 'https://chat.test/t0ken', secret: 'swordfish-swordfish'}}"
    )
    shown = str(compiled(HEAD, sidecar=sidecar).written)
    assert "t0ken" not in shown
    assert "swordfish" not in shown
