{{/* True, or empty, where there is a test: it is enabled, and has a token if the edge asks for one. */}}
{{- define "diptych.hasTest" -}}
{{- $hasToken := or .Values.tests.tokenSecret (include "diptych.hasGeneratedKey" .) -}}
{{- if and .Values.tests.enabled (or $hasToken (ne .Values.edge.mode "bundledEnvoy")) -}}
true
{{- end -}}
{{- end }}
