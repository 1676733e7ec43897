{{- define "leno.labels" -}}
app.kubernetes.io/name: leno-server
app.kubernetes.io/part-of: leno
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- /* What selects the server's pods. It may never change: a Deployment's selector cannot. */ -}}
{{- define "leno.selector" -}}
app.kubernetes.io/name: leno-server
app.kubernetes.io/part-of: leno
{{- end -}}

{{- define "leno.image" -}}
{{- $tag := .root.Values.image.tag | default .root.Chart.AppVersion -}}
{{- if .root.Values.image.registry }}{{ .root.Values.image.registry }}/{{ end }}{{ .name }}:{{ $tag }}
{{- end -}}

{{- /* Namespaces whose pods the webhook is never asked about. */ -}}
{{- define "leno.excluded" -}}
- key: kubernetes.io/metadata.name
  operator: NotIn
  values: [kube-system, kube-public, kube-node-lease, {{ .Release.Namespace }}]
{{- end -}}

{{- /* What all entries of the webhook share. */ -}}
{{- define "leno.webhook" -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: leno-server
    namespace: {{ .Release.Namespace }}
    path: /inject
    port: 443
failurePolicy: {{ .Values.webhook.failurePolicy }}
timeoutSeconds: {{ .Values.webhook.timeoutSeconds }}
sideEffects: NoneOnDryRun
reinvocationPolicy: IfNeeded
rules:
  - apiGroups: [""]
    apiVersions: [v1]
    operations: [CREATE]
    resources: [pods]
    scope: Namespaced
{{- end -}}
