"""The containers and volumes that are added to a pod.

Everything that the sidecar must agree about with the rest of the pod (ports, drain, whom it serves) is written into its
environment, over whatever its ConfigMap says, so that a pod is whole in itself.

Pod Security ``restricted`` holds for the sidecar.  It does not for the init container of enforced mode, which changes
the pod's own network and is gone before anything else of the agent's starts.
"""

from typing import Final

from sidecar.core.config import Address
from sidecar.inject.shape import Json
from sidecar.inject.standard import SHARE, Standard, folder_map
from sidecar.inject.wanted import Wanted

SIDECAR: Final = "agent-sidecar"
REDIRECT: Final = "agent-sidecar-redirect"
OURS: Final = frozenset({SIDECAR, REDIRECT})
CONFIG_VOLUME: Final = "agent-sidecar-config"
ROUTES_VOLUME: Final = "agent-sidecar-routes"
STATES_VOLUME: Final = "agent-sidecar-states"
STATE_VOLUME: Final = "agent-sidecar-state"
SHARE_VOLUME: Final = "agent-sidecar-share"
OUR_VOLUMES: Final = frozenset({CONFIG_VOLUME, ROUTES_VOLUME, STATES_VOLUME, STATE_VOLUME, SHARE_VOLUME})

CONFIG: Final = "/etc/sidecar"
STATE: Final = "/var/lib/agent-sidecar"
TRANSPARENT: Final = 15001
READY_S: Final = 60
"""A sidecar that is not ready by then is started anew: its store is away, or its configuration no good."""

_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_ASK: Final = (
    "import http.client as h; c = h.HTTPConnection({host!r}, {port}, timeout=3); "
    "c.request('GET', {path!r}); raise SystemExit(c.getresponse().status != 200)"
)
_AWAIT: Final = """import http.client as h, time
for _ in range({seconds}):
    try:
        c = h.HTTPConnection({host!r}, {port}, timeout=3)
        c.request('GET', '/readyz')
        if c.getresponse().status == 200:
            raise SystemExit(0)
    except OSError:
        pass
    time.sleep(1)
raise SystemExit('the sidecar is not ready')"""


def sidecar(wanted: Wanted, standard: Standard) -> Json:
    """The sidecar's container: an init container that goes on running, or one beside the agent's on old clusters."""
    container: Json = {
        "name": SIDECAR,
        "image": wanted.image,
        "args": ["run", "--config", CONFIG],
        "env": [
            {"name": name, "value": _plain(value)} for name, value in _environment(wanted, standard).items()
        ],
        "envFrom": [{"secretRef": {"name": standard.secret, "optional": True}}],
        "ports": [{"name": "sidecar-admin", "containerPort": standard.admin[1], "protocol": "TCP"}],
        "resources": {
            # No limit of CPU: a sidecar that is throttled renews its leases late, and loses them.
            "requests": {"cpu": wanted.cpu, "memory": wanted.memory},
            "limits": {"memory": wanted.memory},
        },
        "securityContext": _restricted(wanted.uid),
        "livenessProbe": _probe(standard.admin, "/healthz", every_s=10, failures=3),
        "terminationMessagePolicy": "FallbackToLogsOnError",  # a refused configuration shows in the pod's status
        "volumeMounts": [
            {"name": CONFIG_VOLUME, "mountPath": CONFIG, "readOnly": True},
            {"name": ROUTES_VOLUME, "mountPath": f"{CONFIG}/routes", "readOnly": True},
            {"name": STATES_VOLUME, "mountPath": f"{CONFIG}/states", "readOnly": True},
            {"name": STATE_VOLUME, "mountPath": STATE},
            *([{"name": SHARE_VOLUME, "mountPath": SHARE}] if standard.intercepts else []),
        ],
    }
    return container | (_native(standard) if standard.native else _beside(wanted, standard))


def _native(standard: Standard) -> Json:
    """Nothing behind it starts before its startup probe went well; it is stopped when all others have ended."""
    return {
        "restartPolicy": "Always",
        "startupProbe": _probe(standard.admin, "/readyz", every_s=1, failures=READY_S),
    }


def _beside(wanted: Wanted, standard: Standard) -> Json:
    """Containers start in their order, and the next one only when the hook of the last has ended.

    They are all told to stop at once; so this one is told later by as long as the agent may take.
    """
    host, port = _reached(standard.admin)
    ready = _AWAIT.format(host=host, port=port, seconds=READY_S)
    last = f"import time; time.sleep({wanted.grace_s})"
    return {
        "lifecycle": {
            "postStart": {"exec": {"command": ["python", "-c", ready]}},
            "preStop": {"exec": {"command": ["python", "-c", last]}},
        }
    }


def redirect(wanted: Wanted, standard: Standard) -> Json:
    """The init container of enforced mode; all that is known here of ``sidecar redirect``."""
    return {
        "name": REDIRECT,
        "image": wanted.image,
        "args": [
            *("redirect", "--uid", str(wanted.uid), "--to", str(TRANSPARENT)),
            *(word for network in standard.exclude for word in ("--exclude", network)),
        ],
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def volumes(wanted: Wanted, standard: Standard) -> list[Json]:
    """A ConfigMap that is not there keeps the pod from starting: without routes every call would pass, and without
    states nobody would ask what must come before it."""
    return [
        {"name": CONFIG_VOLUME, "configMap": {"name": wanted.config}},
        {"name": ROUTES_VOLUME, "configMap": {"name": folder_map(wanted.config, "routes")}},
        {"name": STATES_VOLUME, "configMap": {"name": folder_map(wanted.config, "states")}},
        {"name": STATE_VOLUME, "emptyDir": {}},
        *([{"name": SHARE_VOLUME, "emptyDir": {}}] if standard.intercepts else []),
    ]


def _environment(wanted: Wanted, standard: Standard) -> dict[str, str]:
    said = {
        "SIDECAR_TENANT": wanted.tenant,
        "SIDECAR_WORKFLOW": wanted.workflow,
        "SIDECAR_LISTEN_PROXY": _address(standard.proxy),
        "SIDECAR_LISTEN_ADMIN": _address(standard.admin),
        "SIDECAR_LISTEN_TRANSPARENT": str(TRANSPARENT) if wanted.mode == "enforced" else "",
        "SIDECAR_STORE_STATE": f"{STATE}/store",  # the volume is root's; the store makes its folder private
        "SIDECAR_TLS_SHARE": SHARE if standard.intercepts else "",
        "SIDECAR_LOG_LEVEL": wanted.log_level,
        "SIDECAR_DRAIN": f"{wanted.drain_s}s" if wanted.drain_s else "0",
    }
    return {name: value for name, value in said.items() if value}


def _probe(admin: Address, path: str, *, every_s: int, failures: int) -> Json:
    """By the kubelet where the port can be reached from outside, else from inside."""
    host, port = admin
    pace = {"periodSeconds": every_s, "timeoutSeconds": 5, "failureThreshold": failures}
    if host in _LOOPBACK:
        ask = _ASK.format(host=host, port=port, path=path)
        return {"exec": {"command": ["python", "-c", ask]}, **pace}
    return {"httpGet": {"path": path, "port": port}, **pace}


def _reached(admin: Address) -> Address:
    host, port = admin
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - told apart, not bound


def _address(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _restricted(uid: int) -> Json:
    return {
        "runAsUser": uid,
        "runAsGroup": uid,
        "runAsNonRoot": True,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _plain(value: str) -> str:
    """``$(NAME)`` would be expanded, so a dollar is written twice."""
    return value.replace("$", "$$")
