{{/* Names and labels. */}}

{{/* Beginning of the names of objects, short enough for the longest ending. */}}
{{- define "diptych.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Labels that select pods; never changed, as selectors cannot be. Call with (dict "root" $ "component" "command"). */}}
{{- define "diptych.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/*
Name, labels and annotations of an object. Call with (dict "root" $ "suffix" "command" "component" "command"
"annotations" (dict) "labels" (dict)); an empty suffix names it as the release.
*/}}
{{- define "diptych.metadata" -}}
{{- $fixed := include "diptych.selectorLabels" . | fromYaml -}}
{{- $_ := set $fixed "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $fixed "app.kubernetes.io/part-of" "diptych" -}}
{{- $_ := set $fixed "app.kubernetes.io/version" (.root.Chart.AppVersion | replace "+" "_" | trunc 63) -}}
{{- $_ := set $fixed "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63) -}}
name: {{ include "diptych.fullname" .root }}{{ with .suffix }}-{{ . }}{{ end }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- mergeOverwrite (dict) .root.Values.commonLabels (default dict .labels) $fixed | toYaml | nindent 2 }}
{{- with mergeOverwrite (dict) .root.Values.commonAnnotations (default dict .annotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Address of an image. Call with (dict "image" .Values.image "tag" "0.1.0"). */}}
{{- define "diptych.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .tag .image.tag }}
{{- end -}}
{{- end }}

{{- define "diptych.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "diptych.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Roles of the mode, as a list. The edge and memcached are not roles. */}}
{{- define "diptych.roles" -}}
{{- if eq .Values.mode "embedded" -}}["embedded"]{{- else -}}["command","relay","projector","query"]{{- end -}}
{{- end }}

{{/* Host of the Service that answers commands, and of that for queries. Call with (dict "root" $ "role" "command"). */}}
{{- define "diptych.serviceHost" -}}
{{- $role := ternary "embedded" .role (eq .root.Values.mode "embedded") -}}
{{ include "diptych.fullname" .root }}-{{ $role }}.{{ .root.Release.Namespace }}.svc
{{- end }}

{{/* True, or empty, where the chart makes the key that signs tokens. */}}
{{- define "diptych.hasGeneratedKey" -}}
{{- $jwt := .Values.edge.jwt -}}
{{- if and (eq .Values.mode "embedded") (eq .Values.edge.mode "bundledEnvoy") (not $jwt.existingSecret) (not $jwt.existingConfigMap) -}}
true
{{- end -}}
{{- end }}

{{/* Seconds until a pod of a role is killed. */}}
{{- define "diptych.gracePeriodSeconds" -}}
{{- with .Values.shutdown -}}
{{ add .preStopSleepSeconds .drainDelaySeconds .timeoutSeconds 5 }}
{{- end -}}
{{- end }}
