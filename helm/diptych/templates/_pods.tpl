{{/* What pods have in common. */}}

{{/* Metadata of a pod. Call with (dict "root" $ "component" "command" "own" .Values.roles.command "checksum" "..."). */}}
{{- define "diptych.podMetadata" -}}
labels:
  {{- $own := default dict .own -}}
  {{- $fixed := include "diptych.selectorLabels" . | fromYaml -}}
  {{- $pod := .root.Values.pod -}}
  {{- mergeOverwrite (dict) .root.Values.commonLabels $pod.labels (default dict $own.labels) $fixed | toYaml | nindent 2 }}
{{- $annotations := mergeOverwrite (dict) $pod.annotations (default dict $own.annotations) -}}
{{- with .checksum }}{{ $_ := set $annotations "checksum/config" . }}{{ end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
Fields of a pod's spec that do not depend on its containers. Call with (dict "root" $ "component" "command" "own"
.Values.roles.command "spread" true).
*/}}
{{- define "diptych.podSpec" -}}
{{- $own := default dict .own -}}
{{- $pod := .root.Values.pod -}}
{{- if not .isHook }}
serviceAccountName: {{ include "diptych.serviceAccountName" .root }}
{{- end }}
automountServiceAccountToken: false
# Variables of Services, such as DIPTYCH_COMMAND_PORT of a Service diptych-command, would be read as settings.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $pod.priorityClassName $own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with default $pod.nodeSelector $own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $pod.tolerations $own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with default $pod.affinity $own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and .spread $pod.topologyKeys }}
topologySpreadConstraints:
  {{- $selector := include "diptych.selectorLabels" . -}}
  {{- range uniq $pod.topologyKeys }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: {{ $pod.whenUnsatisfiable }}
    labelSelector:
      matchLabels:
        {{- $selector | nindent 8 }}
    # During a rollout only pods of one version count.
    {{- if $.hasRevisions }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/*
Environment: that of the chart, then what the user adds, whose value counts where both have a name: two entries with one
name would be an error. Call with (dict "lists" (list $chart $common $own)).
*/}}
{{- define "diptych.environment" -}}
{{- $names := list -}}
{{- $byName := dict -}}
{{- range .lists -}}
{{- range . -}}
{{- if not (has .name $names) -}}{{- $names = append $names .name -}}{{- end -}}
{{- $_ := set $byName .name . -}}
{{- end -}}
{{- end -}}
{{- $all := list -}}
{{- range $names -}}{{- $all = append $all (get $byName .) -}}{{- end -}}
{{- if $all -}}{{- toYaml $all -}}{{- end -}}
{{- end }}

{{/* Variable from a Secret, as JSON. Call with (dict "name" "X" "secret" "s" "key" "k"). */}}
{{- define "diptych.secretVariable" -}}
{{- dict "name" .name "valueFrom" (dict "secretKeyRef" (dict "name" .secret "key" .key)) | toJson -}}
{{- end }}

{{/*
Variables with secrets of the servers, as a JSON list. Call with (dict "root" $ "role" "command"); each role gets those of
the servers that it uses.
*/}}
{{- define "diptych.secretVariables" -}}
{{- $values := .root.Values -}}
{{- $variables := list -}}
{{- if has .role (list "command" "relay" "projector" "migrate") -}}
{{- $secret := include "diptych.postgres.secret" . | fromJson -}}
{{- $variables = append $variables (include "diptych.secretVariable" (merge (dict "name" "DIPTYCH_POSTGRES__URL") $secret) | fromJson) -}}
{{- end -}}
{{- if has .role (list "relay" "projector" "migrate") -}}
{{- if and (eq $values.kafka.mode "operator") $values.kafka.operator.user.enabled -}}
{{- $user := printf "%s-kafka-user" (include "diptych.fullname" .root) -}}
{{- $password := dict "name" "KAFKA_PASSWORD" "secret" $user "key" "password" -}}
{{- $variables = append $variables (include "diptych.secretVariable" $password | fromJson) -}}
{{- $extra := printf "security.protocol=SASL_PLAINTEXT,sasl.mechanism=SCRAM-SHA-512,sasl.username=%s,sasl.password=$(KAFKA_PASSWORD)" $user -}}
{{- $variables = append $variables (dict "name" "DIPTYCH_KAFKA__EXTRA" "value" $extra) -}}
{{- else if and (eq $values.kafka.mode "external") $values.kafka.external.existingSecret -}}
{{- $secret := dict "name" "DIPTYCH_KAFKA__EXTRA" "secret" $values.kafka.external.existingSecret "key" $values.kafka.external.key -}}
{{- $variables = append $variables (include "diptych.secretVariable" $secret | fromJson) -}}
{{- end -}}
{{- end -}}
{{- if and (has .role (list "projector" "query" "migrate")) $values.scylla.authentication.existingSecret -}}
{{- $secret := $values.scylla.authentication.existingSecret -}}
{{- $user := dict "name" "DIPTYCH_SCYLLA__USER" "secret" $secret "key" $values.scylla.authentication.userKey -}}
{{- $password := dict "name" "DIPTYCH_SCYLLA__PASSWORD" "secret" $secret "key" $values.scylla.authentication.passwordKey -}}
{{- $variables = append $variables (include "diptych.secretVariable" $user | fromJson) -}}
{{- $variables = append $variables (include "diptych.secretVariable" $password | fromJson) -}}
{{- end -}}
{{- toJson $variables -}}
{{- end }}

{{/* Secret with the URL of Postgres, and its key, as JSON. */}}
{{- define "diptych.postgres.secret" -}}
{{- $external := .root.Values.postgres.external -}}
{{- if eq .root.Values.postgres.mode "operator" -}}
{{- dict "secret" (printf "%s-pg-app" (include "diptych.fullname" .root)) "key" "uri" | toJson -}}
{{- else if and (eq .role "migrate") $external.ownerSecret -}}
{{- dict "secret" $external.ownerSecret "key" $external.ownerKey | toJson -}}
{{- else -}}
{{- dict "secret" $external.existingSecret "key" $external.key | toJson -}}
{{- end -}}
{{- end }}

{{/* Probes of a process of Diptych, by the names of its health service. No server is behind liveness. */}}
{{- define "diptych.probes" -}}
startupProbe:
  # Of `liveness`, as `startup` waits for the servers, and a pod must not be killed because they are away. To open a
  # large folder may take long.
  grpc: {port: 7400, service: liveness}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 600
livenessProbe:
  grpc: {port: 7400, service: liveness}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  grpc: {port: 7400, service: readiness}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 2
lifecycle:
  {{- with .Values.shutdown.preStopSleepSeconds }}
  preStop: {sleep: {seconds: {{ . }}}}
  {{- else }} {}
  {{- end }}
{{- end }}
