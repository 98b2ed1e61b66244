{{- define "secretsync.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{- define "secretsync.fullname" -}}
{{ .Values.fullnameOverride | default .Release.Name | replace "." "-" | trunc 50 | trimAll "-" }}
{{- end }}

{{/* Names of cluster-wide objects: releases of other namespaces may have the same name. */}}
{{- define "secretsync.clusterName" -}}
{{ include "secretsync.fullname" . }}.{{ .Release.Namespace }}
{{- end }}

{{- define "secretsync.serviceAccountName" -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) }}
{{- fail "serviceAccount.name: name the ServiceAccount that exists, or set serviceAccount.create to true" }}
{{- end -}}
{{ .Values.serviceAccount.name | default (include "secretsync.fullname" .) }}
{{- end }}

{{- define "secretsync.baseLabels" -}}
app.kubernetes.io/name: {{ include "secretsync.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "secretsync.selectorLabels" -}}
{{ include "secretsync.baseLabels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "secretsync.labels" -}}
{{- include "secretsync.labelsWith" (list . dict) }}
{{- end }}

{{/* Labels of a thing that has more of them: each name once, the user's before ours. */}}
{{- define "secretsync.labelsWith" -}}
{{- $more := index . 1 }}
{{- with index . 0 }}
{{- range $key, $_ := merge (dict) .Values.commonLabels .Values.podLabels }}
{{- if has $key (list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component") }}
{{- fail (printf "commonLabels, podLabels: %s is what the chart selects its pods by; use another label" $key) }}
{{- end }}
{{- end }}
{{- $ours := dict "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/part-of" "secretsync" "app.kubernetes.io/managed-by" .Release.Service "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version) }}
{{- toYaml (merge (dict) $more .Values.commonLabels (include "secretsync.baseLabels" . | fromYaml) $ours) }}
{{- end }}
{{- end }}

{{- define "secretsync.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}{{ if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* What the operator does in a namespace whose SecretSyncs it serves. */}}
{{- define "secretsync.namespacedRules" -}}
- apiGroups: [secretsync.dev]
  resources: [secretsyncs, secretproviders]
  verbs: [list, watch]
- apiGroups: [secretsync.dev]
  resources: [secretsyncs/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [secrets]
  # list and watch are asked for metadata only, of Secrets with the operator's label. get reads a provider's credentials,
  # and looks (metadata only) whether somebody else's Secret has the target's name.
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
- apiGroups: [apps]
  resources: [deployments, statefulsets, daemonsets]
  verbs: [list, watch, patch]
- apiGroups: [""]
  resources: [pods]
  # When containers were started, of a workload that may run with something older than its Secret holds.
  verbs: [list]
{{- end }}

{{/* What is not in a namespace: who may read what depends on it. */}}
{{- define "secretsync.clusterRules" -}}
{{- if .Values.clusterProviders.enabled }}
- apiGroups: [secretsync.dev]
  resources: [clustersecretproviders]
  verbs: [list, watch]
{{- end }}
{{- if eq .Values.metrics.auth "token" }}
# Whether who scrapes may.
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}
{{- end }}

{{/* What of an endpoint the Prometheus Operator must know to be let in. */}}
{{- define "secretsync.scrape" -}}
{{- if .Values.metrics.tlsSecretName }}
scheme: https
tlsConfig: {serverName: {{ include "secretsync.fullname" . }}-metrics.{{ .Release.Namespace }}.svc, insecureSkipVerify: true}
{{- end }}
{{- if eq .Values.metrics.auth "token" }}
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
{{- end }}
{{- end }}

{{/* Policies for everybody hold where the operator works. */}}
{{- define "secretsync.scope" -}}
{{- with .Values.watchNamespaces -}}
matchResources:
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ uniq . | toJson }}}
{{- end }}
{{- end }}
