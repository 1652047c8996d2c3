"""The fields of other projects' objects that the manifests use, and their types; whatever else is a mistake."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
DURATION: Schema = {"type": "string", "pattern": r"^(\d+(ms|s|m|h|d))+$"}


def fields(needed: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(needed),
        "properties": needed | (optional or {}),
        "additionalProperties": False,
    }


def some(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


POD_MONITOR = fields(
    {
        "selector": fields({"matchLabels": LABELS}),
        "podMetricsEndpoints": some(
            fields({"port": TEXT}, {"path": TEXT, "interval": DURATION, "scrapeTimeout": DURATION})
        ),
    }
)

SERVICE_MONITOR = fields(
    {
        "selector": fields({"matchLabels": LABELS}),
        "endpoints": some(
            fields(
                {
                    "port": TEXT,
                    "scheme": {"const": "https"},
                    "tlsConfig": fields(
                        {"serverName": TEXT, "ca": fields({"secret": fields({"name": TEXT, "key": TEXT})})}
                    ),
                },
                {"path": TEXT, "interval": DURATION},
            )
        ),
    }
)

RULE = fields({"alert": TEXT, "expr": TEXT, "labels": LABELS, "annotations": LABELS}, {"for": DURATION})
PROMETHEUS_RULE = fields({"groups": some(fields({"name": TEXT, "rules": some(RULE)}))})

ISSUER: Schema = {"oneOf": [fields({"selfSigned": fields({})}), fields({"ca": fields({"secretName": TEXT})})]}
CERTIFICATE = fields(
    {
        "secretName": TEXT,
        "duration": DURATION,
        "renewBefore": DURATION,
        "issuerRef": fields(
            {"group": {"const": "cert-manager.io"}, "kind": {"const": "Issuer"}, "name": TEXT}
        ),
        "privateKey": fields(
            {"algorithm": {"const": "ECDSA"}, "size": {"enum": [256, 384]}},
            {"rotationPolicy": {"const": "Always"}},
        ),
    },
    {
        "isCA": FLAG,
        "commonName": {"type": "string", "maxLength": 64},
        "dnsNames": some(TEXT),
        "usages": some({"enum": ["digital signature", "server auth"]}),
    },
)

SCHEMAS = {
    ("monitoring.coreos.com/v1", "PodMonitor"): POD_MONITOR,
    ("monitoring.coreos.com/v1", "ServiceMonitor"): SERVICE_MONITOR,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PROMETHEUS_RULE,
    ("cert-manager.io/v1", "Issuer"): ISSUER,
    ("cert-manager.io/v1", "Certificate"): CERTIFICATE,
}
