{{/* Configuration of the two Envoys, from the templates of infra/envoy. */}}

{{/* Settings of both, as JSON; the names are those of infra/envoy/src/settings.rs. */}}
{{- define "diptych.envoy.process" -}}
{{- $own := .Values.edge.bundledEnvoy -}}
{{- $tracing := "" -}}
{{- with include "diptych.collector" . -}}
{{- $tracing = merge (dict "sampled_per_million" (int $own.tracesSampledPerMillion)) (fromJson .) -}}
{{- end -}}
{{- dict
  "listen_address" "0.0.0.0"
  "access_log_file" "/dev/stdout"
  "connections_max" (int64 $own.connectionsMax)
  "calls_in_flight_max" (int64 $own.callsInFlightMax)
  "heap_bytes_max" (mul $own.heapMebibytesMax 1048576)
  "stream_idle_timeout" (printf "%d.000s" (int64 $own.streamIdleTimeoutSeconds))
  "health_check_interval" (printf "%d.000s" (int64 $own.healthCheckIntervalSeconds))
  "tracing" (default nil $tracing)
| toJson -}}
{{- end }}

{{- define "diptych.envoy.edge" -}}
{{- $settings := dict
  "node_id" "edge"
  "listen_port" 8080
  "admin_port" 9901
  "gateways" (list (dict "host" "127.0.0.1" "port" 8081))
  "headers_dropped" .Values.edge.bundledEnvoy.headersDropped
-}}
{{- tpl (.Files.Get "files/envoy/edge.yaml") (merge $settings (include "diptych.envoy.process" . | fromJson)) -}}
{{- end }}

{{- define "diptych.envoy.gateway" -}}
{{- $own := .Values.edge.bundledEnvoy -}}
{{- $settings := dict
  "node_id" "gateway"
  "listen_port" 8081
  "admin_port" 9902
  "commands" (list (dict "host" (include "diptych.serviceHost" (dict "root" $ "role" "command")) "port" 7400))
  "queries" (list (dict "host" (include "diptych.serviceHost" (dict "root" $ "role" "query")) "port" 7400))
  "jwt_issuer" (include "diptych.issuer" .)
  "jwt_audience" .Values.edge.jwt.audience
  "jwks" (dict "filename" (printf "/etc/jwks/%s" (ternary "jwks.json" .Values.edge.jwt.key (eq (include "diptych.hasGeneratedKey" .) "true"))))
  "cors_origins" $own.corsOrigins
  "descriptor_set_file" "/etc/envoy/descriptor_set.bin"
  "call_duration_max" (printf "%d.000s" (int64 $own.callDurationMaxSeconds))
  "request_bytes_max" (int64 $own.requestBytesMax)
  "calls_per_second_max" (int64 $own.callsPerSecondMax)
  "calls_burst_max" (int64 $own.callsBurstMax)
-}}
{{- tpl (.Files.Get "files/envoy/gateway.yaml") (merge $settings (include "diptych.envoy.process" . | fromJson)) -}}
{{- end }}
