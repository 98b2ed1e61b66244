{{- define "secretsync.name" -}}
{{ .Values.nameOverride | default .Chart.Name }}
{{- end }}

{{/*
To be included first: what is null in the values, as a list all of whose items are commented out, gets its default.
*/}}
{{- define "secretsync.defaults" -}}
{{- include "secretsync.fill" (list .Values (.Files.Get "files/defaults.json" | fromJson)) }}
{{- end }}

{{- define "secretsync.fill" -}}
{{- $values := index . 0 }}
{{- range $name, $default := index . 1 }}
{{- if kindIs "invalid" (index $values $name) }}
{{- $_ := set $values $name $default }}
{{- else if kindIs "map" $default }}
{{- include "secretsync.fill" (list (get $values $name) $default) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The release's name; as a part of another chart with the chart's, or it would be the other chart's, too. */}}
{{- define "secretsync.releaseName" -}}
{{- $name := .Release.Name }}
{{- if not (or .Chart.IsRoot (contains .Chart.Name $name)) }}
{{- $name = printf "%s-%s" $name .Chart.Name }}
{{- end }}
{{- /* Services need a letter first. */ -}}
{{ ternary (printf "secretsync-%s" $name) $name (regexMatch "^[0-9]" $name) }}
{{- end }}

{{- define "secretsync.fullname" -}}
{{ .Values.fullnameOverride | default (include "secretsync.releaseName" .) | replace "." "-" | trunc 50 | trimAll "-" }}
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
{{- if include "secretsync.fansOut" . }}
# Those that ClusterSecretSyncs make; an admission policy keeps the operator from all others.
- apiGroups: [secretsync.dev]
  resources: [secretsyncs]
  verbs: [create, patch, delete]
{{- end }}
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

{{/* Whether ClusterSecretSyncs are served: only by who serves the whole cluster. */}}
{{- define "secretsync.fansOut" -}}
{{- if and .Values.clusterSecretSyncs.enabled (not .Values.watchNamespaces) }}true{{ end }}
{{- end }}

{{/* What is not in a namespace: who may read what depends on it. */}}
{{- define "secretsync.clusterRules" -}}
{{- if .Values.clusterProviders.enabled }}
- apiGroups: [secretsync.dev]
  resources: [clustersecretproviders]
  verbs: [list, watch]
{{- end }}
{{- if include "secretsync.fansOut" . }}
- apiGroups: [secretsync.dev]
  resources: [clustersecretsyncs]
  verbs: [list, watch]
- apiGroups: [secretsync.dev]
  resources: [clustersecretsyncs/status]
  verbs: [patch]
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

{{/* CEL: whether an entry of managedFields names nothing but the operator's annotations of a workload. */}}
{{- define "secretsync.onlyOurs" -}}
{{- $metadata := printf "%s.fieldsV1['f:metadata']" . }}
{{- $template := printf "%s.fieldsV1['f:spec']['f:template']" . -}}
({{ . }}.fieldsV1.all(field, field in ['f:metadata', 'f:spec']) &&
        (!('f:metadata' in {{ . }}.fieldsV1) || {{ $metadata }}.all(field, field == 'f:annotations' &&
        {{ $metadata }}[field].all(name, name in ['.', 'f:secretsync.dev/consumed']))) &&
        (!('f:spec' in {{ . }}.fieldsV1) || {{ . }}.fieldsV1['f:spec'].all(field, field == 'f:template' &&
        {{ $template }}.all(part, part == 'f:metadata' && {{ $template }}[part].all(kind, kind == 'f:annotations' &&
        {{ $template }}[part][kind].all(name, name in ['.', 'f:secretsync.dev/restarted-for']))))))
{{- end }}

{{/* CEL: whether the fields of old and entry are the same there, but for one. */}}
{{- define "secretsync.sameBut" -}}
{{- $path := index . 0 -}}
(!({{ include "secretsync.hasPath" (list "old" $path) }}) || ({{ include "secretsync.hasPath" (list "entry" $path) }} &&
        old.fieldsV1{{ $path }}.all(field, field == '{{ index . 1 }}' || (field in entry.fieldsV1{{ $path }} &&
        entry.fieldsV1{{ $path }}[field] == old.fieldsV1{{ $path }}[field]))) || old.fieldsV1{{ $path }}.all(field, field == '{{ index . 1 }}'))
{{- end }}

{{/* CEL: whether entry has every name that old has there, but for the operator's annotations. */}}
{{- define "secretsync.sameNames" -}}
(!({{ include "secretsync.hasPath" (list "old" .) }}) || old.fieldsV1{{ . }}.all(name,
        name in ['.', 'f:secretsync.dev/consumed', 'f:secretsync.dev/restarted-for'] ||
        ({{ include "secretsync.hasPath" (list "entry" .) }} && name in entry.fieldsV1{{ . }})))
{{- end }}

{{/* CEL: names of the items of a list that may not be there. */}}
{{- define "secretsync.names" -}}
(has({{ index . 0 }}.{{ index . 1 }}) ? {{ index . 0 }}.{{ index . 1 }}.map(each, each.name) : [])
{{- end }}

{{/* CEL: whether items that both lists have stand in the same order. */}}
{{- define "secretsync.sameOrder" -}}
{{- $now := include "secretsync.names" (list (index . 0) (index . 2)) -}}
{{- $before := include "secretsync.names" (list (index . 1) (index . 2)) -}}
{{ $now }}.filter(name, name in {{ $before }}) ==
        {{ $before }}.filter(name, name in {{ $now }})
{{- end }}

{{/* CEL: the same for the variables of each container. */}}
{{- define "secretsync.sameEnvOrder" -}}
(!has(variables.spec.{{ . }}) || !has(variables.oldSpec.{{ . }}) || variables.spec.{{ . }}.all(now,
        variables.oldSpec.{{ . }}.filter(before, before.name == now.name).all(before,
        {{ include "secretsync.sameOrder" (list "now" "before" "env") }})))
{{- end }}

{{/* CEL: whether the fields of an entry have that path. */}}
{{- define "secretsync.hasPath" -}}
{{- $entry := index . 0 }}
{{- $before := printf "%s.fieldsV1" $entry }}
{{- $conditions := list }}
{{- range $name := regexFindAll "'[^']+'" (index . 1) -1 }}
{{- $conditions = append $conditions (printf "%s in %s" $name $before) }}
{{- $before = printf "%s[%s]" $before $name }}
{{- end }}
{{- join " && " $conditions }}
{{- end }}
