{{/* What the schema cannot check. All problems are reported together. */}}

{{/*
Fails if a value is wrong, or the cluster lacks a custom resource definition. Call with (dict "root" $ "api" "kafka.strimzi.io/v1/Kafka" "for"
"kafka.mode=operator" "install" "the Strimzi operator").
*/}}
{{- define "diptych.requireApi" -}}
{{- include "diptych.validate" .root -}}
{{- if and .root.Values.checkCustomResources (not (.root.Capabilities.APIVersions.Has .api)) -}}
{{- printf "%s needs %s, which this cluster does not have: install %s first (with `helm template`, give --api-versions %s, or set checkCustomResources=false)" .for .api .install .api | fail -}}
{{- end -}}
{{- end }}

{{- define "diptych.validate" -}}
{{- $problems := list -}}
{{- $values := .Values -}}
{{- if eq $values.mode "distributed" -}}
  {{- if and (eq $values.postgres.mode "external") (not $values.postgres.external.existingSecret) -}}
    {{- $problems = append $problems "postgres.external.existingSecret: name a Secret with the URL of Postgres under the key `uri`, or set postgres.mode=operator" -}}
  {{- end -}}
  {{- if and (eq $values.kafka.mode "external") (not $values.kafka.external.bootstrapServers) -}}
    {{- $problems = append $problems "kafka.external.bootstrapServers: name brokers, such as kafka:9092, or set kafka.mode=operator" -}}
  {{- end -}}
  {{- if and (eq $values.scylla.mode "external") (not $values.scylla.external.contactPoints) -}}
    {{- $problems = append $problems "scylla.external.contactPoints: name nodes, such as scylla:9042, or set scylla.mode=operator" -}}
  {{- end -}}
  {{- if and (eq $values.memcached.mode "external") (not $values.memcached.external.servers) -}}
    {{- $problems = append $problems "memcached.external.servers: name servers, such as cache:11211, or set memcached.mode=bundled" -}}
  {{- end -}}
  {{- if and (eq $values.edge.mode "bundledEnvoy") (not $values.edge.jwt.existingSecret) (not $values.edge.jwt.existingConfigMap) -}}
    {{- $problems = append $problems "edge.jwt.existingSecret or edge.jwt.existingConfigMap: name one with the public keys (JWKS) of the issuer of tokens under the key `jwks.json`; only mode=embedded makes a key of its own" -}}
  {{- end -}}
  {{- range $role := list "command" "query" -}}
    {{- $scaling := (index $values.roles $role).autoscaling -}}
    {{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) -}}
      {{- $problems = append $problems (printf "roles.%s.autoscaling.minReplicas is more than maxReplicas" $role) -}}
    {{- end -}}
  {{- end -}}
  {{- $projector := $values.roles.projector -}}
  {{- if $projector.keda.enabled -}}
    {{- if gt (int $projector.keda.maxReplicas) (int $values.partitions) -}}
      {{- $problems = append $problems (printf "roles.projector.keda.maxReplicas is %d, and there are %d partitions: more projectors would be idle" (int $projector.keda.maxReplicas) (int $values.partitions)) -}}
    {{- end -}}
    {{- if gt (int $projector.keda.minReplicas) (int $projector.keda.maxReplicas) -}}
      {{- $problems = append $problems "roles.projector.keda.minReplicas is more than maxReplicas" -}}
    {{- end -}}
  {{- else if gt (int $projector.replicas) (int $values.partitions) -}}
    {{- $problems = append $problems (printf "roles.projector.replicas is %d, and there are %d partitions: more projectors would be idle" (int $projector.replicas) (int $values.partitions)) -}}
  {{- end -}}
  {{- if and $values.migrations.enabled $values.migrations.useHelmHooks -}}
    {{- range $server := list "postgres" "kafka" "scylla" -}}
      {{- if eq (index $values $server).mode "operator" -}}
        {{- $problems = append $problems (printf "migrations.useHelmHooks: hooks run before %s.mode=operator has made its server; leave it false, services wait for the schema" $server) -}}
      {{- end -}}
    {{- end -}}
  {{- end -}}
  {{- if and $values.migrations.grantTo (ne $values.postgres.mode "external") -}}
    {{- $problems = append $problems "migrations.grantTo: only with postgres.mode=external; the operator's database has one role, its owner" -}}
  {{- end -}}
  {{- $postgres := $values.postgres.operator -}}
  {{- if eq $values.postgres.mode "operator" -}}
    {{- /* Command, relay and projector; one more of each while they are replaced. */ -}}
    {{- $roles := $values.roles -}}
    {{- $pods := add 3 $roles.relay.replicas -}}
    {{- $pods = add $pods (ternary $roles.command.autoscaling.maxReplicas $roles.command.replicas $roles.command.autoscaling.enabled) -}}
    {{- $pods = add $pods (ternary $roles.projector.keda.maxReplicas $roles.projector.replicas $roles.projector.keda.enabled) -}}
    {{- $settings := dig "postgres" (dict) $values.config -}}
    {{- $each := add 2 (dig "write_connections_max" 4 $settings) (dig "read_connections_max" 8 $settings) -}}
    {{- $max := int (default "100" (get $postgres.parameters "max_connections")) -}}
    {{- if gt (int (mul $pods $each)) (int (sub $max 10)) -}}
      {{- $problems = append $problems (printf "postgres.operator.parameters.max_connections is %d, and up to %d pods may have %d connections each, besides 10 of the operator: raise it, or lower the most pods of command, relay and projector" $max (int $pods) (int $each)) -}}
    {{- end -}}
  {{- end -}}
  {{- if and (eq $values.postgres.mode "operator") (ge (int $postgres.synchronousStandbys) (int $postgres.instances)) -}}
    {{- $problems = append $problems (printf "postgres.operator.synchronousStandbys is %d, and there are %d instances, one of them the primary: nothing would be committed" (int $postgres.synchronousStandbys) (int $postgres.instances)) -}}
  {{- end -}}
{{- end -}}
{{- if eq $values.edge.mode "bundledEnvoy" -}}
  {{- $envoy := $values.edge.bundledEnvoy -}}
  {{- if lt (int $envoy.callsBurstMax) (int $envoy.callsPerSecondMax) -}}
    {{- $problems = append $problems "edge.bundledEnvoy.callsBurstMax is less than callsPerSecondMax" -}}
  {{- end -}}
  {{- if and $values.edge.jwt.existingSecret $values.edge.jwt.existingConfigMap -}}
    {{- $problems = append $problems "edge.jwt: existingSecret and existingConfigMap are both set; keep one" -}}
  {{- end -}}
  {{- if and (or $values.edge.jwt.existingSecret $values.edge.jwt.existingConfigMap) (not $values.edge.jwt.issuer) -}}
    {{- $problems = append $problems "edge.jwt.issuer: set the claim `iss` of the issuer's tokens" -}}
  {{- end -}}
{{- end -}}
{{- if eq $values.edge.mode "gatewayApi" -}}
  {{- if not $values.edge.gatewayApi.parentRefs -}}
    {{- $problems = append $problems "edge.gatewayApi.parentRefs: name the Gateway, such as [{name: public, namespace: gateways}]" -}}
  {{- end -}}
  {{- if and $values.networkPolicy.enabled (not $values.edge.gatewayApi.from) -}}
    {{- $problems = append $problems "edge.gatewayApi.from: name the pods of the Gateway, such as [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateways}}}], as the NetworkPolicy lets nobody else call" -}}
  {{- end -}}
  {{- if and $values.edge.gatewayApi.envoyGateway.enabled (not (and $values.edge.gatewayApi.envoyGateway.jwksUri $values.edge.jwt.issuer)) -}}
    {{- $problems = append $problems "edge.gatewayApi.envoyGateway: set jwksUri and edge.jwt.issuer, so that tokens can be checked" -}}
  {{- end -}}
{{- end -}}
{{- if $problems -}}
{{- printf "\n%d values need a change:\n- %s" (len $problems) (join "\n- " $problems) | fail -}}
{{- end -}}
{{- end }}
