{{/* The settings file, and the addresses in it. */}}

{{/* Addresses of Kafka, ScyllaDB and Memcached, separated by commas. */}}
{{- define "diptych.kafka.servers" -}}
{{- if eq .Values.kafka.mode "operator" -}}
{{ include "diptych.fullname" . }}-kafka-kafka-bootstrap.{{ .Release.Namespace }}.svc:9092
{{- else -}}
{{ join "," .Values.kafka.external.bootstrapServers }}
{{- end -}}
{{- end }}

{{- define "diptych.scylla.servers" -}}
{{- if eq .Values.scylla.mode "operator" -}}
{{ include "diptych.fullname" . }}-scylla-client.{{ .Release.Namespace }}.svc:9042
{{- else -}}
{{ join "," .Values.scylla.external.contactPoints }}
{{- end -}}
{{- end }}

{{- define "diptych.memcached.servers" -}}
{{- if eq .Values.memcached.mode "bundled" -}}
{{- $service := printf "%s-memcached" (include "diptych.fullname" .) -}}
{{- $servers := list -}}
{{- range until (int .Values.memcached.bundled.replicas) -}}
{{- $servers = append $servers (printf "%s-%d.%s.%s.svc:11211" $service . $service $.Release.Namespace) -}}
{{- end -}}
{{ join "," $servers }}
{{- else -}}
{{ join "," .Values.memcached.external.servers }}
{{- end -}}
{{- end }}

{{/* The topic of the events. */}}
{{- define "diptych.kafka.topic" -}}
{{- dig "kafka" "topic" "diptych.events" .Values.config -}}
{{- end }}

{{/* All settings of the chart and the user, as JSON by section. Secrets are in variables. */}}
{{- define "diptych.settings" -}}
{{- $shutdown := .Values.shutdown -}}
{{- $own := dict
  "listen" "0.0.0.0:7400"
  "metrics_listen" "0.0.0.0:7401"
  "partitions" (int .Values.partitions)
  "drain_delay" (printf "%ds" (int $shutdown.drainDelaySeconds))
  "shutdown_timeout" (printf "%ds" (int $shutdown.timeoutSeconds))
  "log" (dict "format" "json")
-}}
{{- if eq .Values.mode "embedded" -}}
{{- $_ := set $own "data" (printf "/var/lib/diptych/%s" .Values.embedded.dataFolder) -}}
{{- else -}}
{{- $postgres := dict -}}
{{- if and (eq .Values.postgres.mode "operator") .Values.postgres.operator.synchronousStandbys -}}
{{- $_ := set $postgres "synchronous_standby_required" true -}}
{{- end -}}
{{- $scylla := dict "contact_points" (include "diptych.scylla.servers" .) -}}
{{- if eq .Values.scylla.mode "operator" -}}
{{- $members := 0 -}}
{{- range .Values.scylla.operator.racks -}}{{- $members = add $members .members -}}{{- end -}}
{{- $_ := set $scylla "replication_factor" (min 3 $members) -}}
{{- end -}}
{{- $kafka := dict "bootstrap_servers" (include "diptych.kafka.servers" .) -}}
{{- if eq .Values.kafka.mode "operator" -}}
{{- $copies := min 3 (int .Values.kafka.operator.brokers.replicas) -}}
{{- $_ := set $kafka "replication_factor" $copies -}}
{{- $_ := set $kafka "min_insync_replicas" (ternary 2 1 (gt (int $copies) 2)) -}}
{{- end -}}
{{- $_ := set $own "postgres" $postgres -}}
{{- $_ := set $own "kafka" $kafka -}}
{{- $_ := set $own "scylla" $scylla -}}
{{- $_ := set $own "memcached" (dict "servers" (include "diptych.memcached.servers" .)) -}}
{{- end -}}
{{- mergeOverwrite $own (deepCopy .Values.config) | toJson -}}
{{- end }}

{{/* The settings file. JSON values are valid in TOML: strings, whole numbers, true and false. */}}
{{- define "diptych.settingsFile" -}}
{{- $settings := include "diptych.settings" . | fromJson -}}
# Settings of all roles; see `diptych settings`. Variables of a container count before this file.
{{- range $key, $value := $settings }}
{{- if not (kindIs "map" $value) }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $section, $values := $settings }}
{{- if and (kindIs "map" $values) $values }}

[{{ $section }}]
{{- range $key, $value := $values }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Host and port of the collector of traces, as JSON with `host` and `port`; empty if there is none. */}}
{{- define "diptych.collector" -}}
{{- with dig "telemetry" "otlp_endpoint" "" .Values.config -}}
{{- $host := (urlParse .).host -}}
{{- $port := regexFind "[0-9]+$" $host -}}
{{- dict "host" (trimSuffix (printf ":%s" $port) $host) "port" (int $port) | toJson -}}
{{- end -}}
{{- end }}

{{/* Ports at the end of addresses, as a JSON list without repeats. Call with a list of host:port. */}}
{{- define "diptych.portsOf" -}}
{{- $ports := list -}}
{{- range . -}}{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}{{- end -}}
{{- uniq $ports | toJson -}}
{{- end }}
