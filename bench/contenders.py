"""The proxies that are measured, each set up as its users would, with its access log on."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import programs
from bench.process import Process
from bench.site import Site

Command = Callable[[Site, Path, int], list[str | Path]]
"""From the site, a folder for its files and the port it must listen on."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a window must show, or it measured something else."""

    verdict: str = ""
    """The word that ``Sidecar-Verdict`` begins with; empty where there is no such field."""
    scripts: int = 0
    """Store scripts a call."""
    logged: bool = True
    """One line a call on stdout."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A proxy that can be started."""

    name: str
    title: str
    command: Command
    promise: Promise = Promise()


@dataclass(frozen=True, slots=True)
class Proxy:
    """A contender that runs."""

    contender: Contender
    process: Process
    port: int
    ready_s: float
    """From exec to the first answered call."""

    @property
    def name(self) -> str:
        """A short word: the key in every table, and what ``--only`` takes."""
        return self.contender.name


def contenders(peers: bool = False) -> list[Contender]:
    """Everything that can be measured, in the order of the table; ``peers`` are the slow ones."""
    quick = [
        Contender("pass", "sidecar, pass-through", _sidecar(_PASS_ROUTE), Promise(verdict="executed")),
        Contender("gated", "sidecar, gated", _sidecar(_GATED_ROUTE), Promise(verdict="executed", scripts=2)),
        Contender("envoy", "Envoy", _envoy(_static_cluster)),
        Contender("envoy-dynamic", "Envoy, dynamic forward proxy", _envoy(_dynamic_cluster)),
        Contender("naive", "naive aiohttp proxy", _naive, Promise(logged=False)),
        Contender("nginx", "nginx", _nginx),
    ]
    slow = [
        Contender("proxy.py", "proxy.py", _proxy_py, Promise(logged=False)),
        Contender("mitmdump", "mitmdump", _mitmdump, Promise(logged=False)),
    ]
    return quick + slow if peers else quick


_SIDECAR = """\
version: 1
listen: {{proxy: "127.0.0.1:{port}", admin: "127.0.0.1:0"}}
store: {{url: "{store}", namespace: bench}}
caps: {{global: 1000, per_tenant: 1000}}
lanes: {{write: {{cap: 1000}}}}
egress: {{allow: ["127.0.0.0/8"]}}
"""

_TOOL = """\
version: 1
tool: crm
hosts: ["127.0.0.1"]
credential: "header:Authorization"
"""

_PASS_ROUTE = """\
routes:
  - {name: item.update, match: {method: POST, path: "/crm/items/{id}"}, lane: read}
"""

_GATED_ROUTE = """\
caps: {write: 1000}
routes:
  - name: item.update
    match: {method: POST, path: "/crm/items/{id}"}
    lane: write
    locks: ["item:{path.id}"]
    intent: {key: "{path.id} {body.note}", window: 10m}
"""
"""A lock, an intent and four caps: global, lane, tenant, tool by lane.  None is ever full."""


def _sidecar(routes: str) -> Command:
    def command(site: Site, folder: Path, port: int) -> list[str | Path]:
        (folder / "routes").mkdir()
        (folder / "sidecar.yaml").write_text(_SIDECAR.format(port=port, store=site.store.url))
        (folder / "routes" / "crm.yaml").write_text(_TOOL + routes)
        return [*programs.sidecar(), "run", "--config", folder]

    return command


def _envoy(cluster: Callable[[Site], tuple[dict[str, Any], list[Any]]]) -> Command:
    def command(site: Site, folder: Path, port: int) -> list[str | Path]:
        config = folder / "envoy.json"
        config.write_text(json.dumps(_envoy_config(port, *cluster(site))))
        return [
            programs.envoy(),
            "-c",
            config,
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "error",
        ]

    return command


def _envoy_config(port: int, cluster: dict[str, Any], filters: list[Any]) -> dict[str, Any]:
    connections = {
        "stat_prefix": "proxy",
        "access_log": [_typed("envoy.access_loggers.stdout", "access_loggers.stream.v3.StdoutAccessLog")],
        "http_filters": [*filters, _typed("envoy.filters.http.router", "filters.http.router.v3.Router")],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "all"}}],
                }
            ]
        },
    }
    manager = _typed(
        "envoy.filters.network.http_connection_manager",
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        connections,
    )
    listener = {"name": "proxy", "address": _address(port), "filter_chains": [{"filters": [manager]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [{"name": "all"} | cluster]}}


def _static_cluster(site: Site) -> tuple[dict[str, Any], list[Any]]:
    endpoint = {"endpoint": {"address": _address(site.upstream.port)}}
    return {
        "type": "STATIC",
        "load_assignment": {"cluster_name": "all", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }, []


def _dynamic_cluster(_site: Site) -> tuple[dict[str, Any], list[Any]]:
    cache = {"dns_cache_config": {"name": "all", "dns_lookup_family": "V4_ONLY"}}
    kind = "clusters.dynamic_forward_proxy"
    cluster = _typed(f"envoy.{kind}", f"{kind}.v3.ClusterConfig", cache)
    kind = "filters.http.dynamic_forward_proxy"
    return {"lb_policy": "CLUSTER_PROVIDED", "cluster_type": cluster}, [
        _typed(f"envoy.{kind}", f"{kind}.v3.FilterConfig", cache)
    ]


def _typed(name: str, kind: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "name": name,
        "typed_config": {"@type": f"type.googleapis.com/envoy.extensions.{kind}"} | (fields or {}),
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _naive(_site: Site, _folder: Path, port: int) -> list[str | Path]:
    return [sys.executable, Path(__file__).with_name("naive.py"), str(port)]


_NGINX = """\
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log /dev/stdout combined buffer=64k flush=1s; keepalive_requests 1000000000;
  client_body_temp_path {folder}/t0; proxy_temp_path {folder}/t1; fastcgi_temp_path {folder}/t2;
  uwsgi_temp_path {folder}/t3; scgi_temp_path {folder}/t4;
  upstream all {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://all; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


def _nginx(site: Site, folder: Path, port: int) -> list[str | Path]:
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=port, upstream=site.upstream.port))
    return [programs.nginx(), "-c", config, "-p", folder]


def _proxy_py(_site: Site, folder: Path, port: int) -> list[str | Path]:
    words = ("--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1", "--num-acceptors", "1")
    return [programs.peer("proxy"), *words, "--data-dir", folder]


def _mitmdump(_site: Site, folder: Path, port: int) -> list[str | Path]:
    words = ("--listen-host", "127.0.0.1", "--listen-port", str(port), "--set", f"confdir={folder}")
    return [programs.peer("mitmdump"), *words]
