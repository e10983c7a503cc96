{{/* Rules of NetworkPolicies, as JSON. */}}

{{/* Ports. Call with a list of numbers. */}}
{{- define "diptych.network.ports" -}}
{{- $ports := list -}}
{{- range . -}}{{- $ports = append $ports (dict "port" (int .) "protocol" "TCP") -}}{{- end -}}
{{- toJson $ports -}}
{{- end }}

{{/* Peer: the pods of a component of this release. Call with (dict "root" $ "component" "edge"). */}}
{{- define "diptych.network.component" -}}
{{- dict "podSelector" (dict "matchLabels" (include "diptych.selectorLabels" . | fromYaml)) | toJson -}}
{{- end }}

{{/* A rule. Call with (dict "direction" "to" "peers" (list) "ports" (list)); no peers means all. */}}
{{- define "diptych.network.rule" -}}
{{- $rule := dict "ports" (include "diptych.network.ports" .ports | fromJsonArray) -}}
{{- if .peers -}}{{- $_ := set $rule .direction .peers -}}{{- end -}}
{{- toJson $rule -}}
{{- end }}

{{/* The way to a server. Call with (dict "root" $ "server" "postgres"). */}}
{{- define "diptych.network.server" -}}
{{- $values := .root.Values -}}
{{- $name := include "diptych.fullname" .root -}}
{{- $server := index $values .server -}}
{{- $peers := list -}}
{{- $ports := list -}}
{{- if eq $server.mode "operator" -}}
  {{- $labels := dict
    "postgres" (dict "cnpg.io/cluster" (print $name "-pg"))
    "kafka" (dict "strimzi.io/cluster" (print $name "-kafka"))
    "scylla" (dict "scylla/cluster" (print $name "-scylla"))
  -}}
  {{- $peers = list (dict "podSelector" (dict "matchLabels" (get $labels .server))) -}}
  {{- $ports = get (dict "postgres" (list 5432) "kafka" (list 9092) "scylla" (list 9042 19042)) .server -}}
{{- else if eq $server.mode "bundled" -}}
  {{- $peers = list (include "diptych.network.component" (dict "root" .root "component" "memcached") | fromJson) -}}
  {{- $ports = list 11211 -}}
{{- else -}}
  {{- $peers = $server.external.peers -}}
  {{- if eq .server "memcached" -}}
    {{- $ports = include "diptych.portsOf" $server.external.servers | fromJsonArray -}}
  {{- else if eq .server "kafka" -}}
    {{- $ports = $server.external.ports | default (include "diptych.portsOf" $server.external.bootstrapServers | fromJsonArray) -}}
  {{- else -}}
    {{- $ports = $server.external.ports -}}
  {{- end -}}
{{- end -}}
{{- include "diptych.network.rule" (dict "direction" "to" "peers" $peers "ports" $ports) -}}
{{- end }}

{{/* Who may call the services: the edge, and the test where there is no edge. */}}
{{- define "diptych.network.callers" -}}
{{- $test := include "diptych.network.component" (dict "root" . "component" "test") | fromJson -}}
{{- $peers := list -}}
{{- if eq .Values.edge.mode "bundledEnvoy" -}}
  {{- $peers = list (include "diptych.network.component" (dict "root" . "component" "edge") | fromJson) -}}
{{- else if eq .Values.edge.mode "gatewayApi" -}}
  {{- $peers = append .Values.edge.gatewayApi.from $test -}}
{{- else if .Values.networkPolicy.edgeFrom -}}
  {{- $peers = append .Values.networkPolicy.edgeFrom $test -}}
{{- end -}}
{{- include "diptych.network.rule" (dict "direction" "from" "peers" $peers "ports" (list 7400)) -}}
{{- end }}
