{{- define "sidecar.labels" -}}
app.kubernetes.io/name: agent-sidecar
app.kubernetes.io/component: {{ .component }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "sidecar.selector" -}}
app.kubernetes.io/name: agent-sidecar
app.kubernetes.io/component: webhook
{{- end }}

{{- define "sidecar.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Whose pods the webhooks are asked about. */}}
{{- define "sidecar.asked" -}}
namespaceSelector:
  matchLabels: {sidecar.agents.dev/inject: enabled}
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: [kube-system, kube-node-lease, {{ .Release.Namespace }}]
failurePolicy: Fail
matchPolicy: Equivalent
sideEffects: None
timeoutSeconds: 5
{{- end }}

{{- define "sidecar.config" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: sidecar-config
  namespace: {{ .namespace }}
  labels:
    {{- include "sidecar.labels" (dict "root" .root "component" .component) | nindent 4 }}
data:
  sidecar.yaml: {{ .root.Values.config.sidecar | toJson }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: sidecar-routes
  namespace: {{ .namespace }}
  labels:
    {{- include "sidecar.labels" (dict "root" .root "component" .component) | nindent 4 }}
data:
  {{- range $name, $file := .root.Values.config.routes }}
  {{ $name }}.yaml: {{ $file | toJson }}
  {{- end }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: sidecar-states
  namespace: {{ .namespace }}
  labels:
    {{- include "sidecar.labels" (dict "root" .root "component" .component) | nindent 4 }}
data:
  {{- range $name, $file := .root.Values.config.states }}
  {{ $name }}.yaml: {{ $file | toJson }}
  {{- end }}
{{- end }}
