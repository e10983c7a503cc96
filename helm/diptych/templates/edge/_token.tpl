{{/*
A key that signs tokens (HS256), and a token, for `mode: embedded`. Helm has no HMAC, so it is made of SHA-256 here;
`ci/check.py` compares it with another implementation.
*/}}

{{/* Bytes of a text in hexadecimal, by the notation of bytes in a string of a template. */}}
{{- define "diptych.bytes" -}}
{{- $escaped := regexReplaceAll "([0-9a-f]{2})" . "\\x${1}" -}}
{{- tpl (printf "{{ \"%s\" }}" $escaped) (dict) -}}
{{- end }}

{{/* Base64 for URLs, without padding. */}}
{{- define "diptych.base64url" -}}
{{- b64enc . | replace "+" "-" | replace "/" "_" | replace "=" "" -}}
{{- end }}

{{/* HMAC-SHA-256, in hexadecimal. Call with (dict "key" "64 hexadecimal digits" "text" "..."). */}}
{{- define "diptych.hmac" -}}
{{- $digits := splitList "" "0123456789abcdef" -}}
{{- /* The digits in the order of their exclusive or with the digits of 0x36 and 0x5c. */ -}}
{{- $with3 := splitList "" "32107654ba98fedc" -}}
{{- $with6 := splitList "" "67452301efcdab89" -}}
{{- $with5 := splitList "" "54761032dcfe98ba" -}}
{{- $withC := splitList "" "cdef89ab45670123" -}}
{{- $value := dict -}}
{{- range $index, $digit := $digits -}}{{- $_ := set $value $digit $index -}}{{- end -}}
{{- $inner := list -}}
{{- $outer := list -}}
{{- range $index, $digit := splitList "" .key -}}
{{- $number := get $value $digit -}}
{{- if eq (mod $index 2) 0 -}}
{{- $inner = append $inner (index $with3 $number) -}}
{{- $outer = append $outer (index $with5 $number) -}}
{{- else -}}
{{- $inner = append $inner (index $with6 $number) -}}
{{- $outer = append $outer (index $withC $number) -}}
{{- end -}}
{{- end -}}
{{- /* A block has 64 bytes, the key 32: the rest is zero. */ -}}
{{- $innerBlock := include "diptych.bytes" (printf "%s%s" (join "" $inner) (repeat 32 "36")) -}}
{{- $outerBlock := include "diptych.bytes" (printf "%s%s" (join "" $outer) (repeat 32 "5c")) -}}
{{- $digest := include "diptych.bytes" (sha256sum (printf "%s%s" $innerBlock .text)) -}}
{{- sha256sum (printf "%s%s" $outerBlock $digest) -}}
{{- end }}

{{/* A token. Call with (dict "root" $ "key" "64 hexadecimal digits"). */}}
{{- define "diptych.token" -}}
{{- $jwt := .root.Values.edge.jwt -}}
{{- $now := now | unixEpoch | int64 -}}
{{- $header := dict "alg" "HS256" "kid" "generated" "typ" "JWT" | toJson -}}
{{- $claims := dict
  "iss" (include "diptych.issuer" .root)
  "aud" $jwt.audience
  "sub" .root.Release.Name
  "scope" "commands:write queries:read"
  "iat" $now
  "exp" (add $now (mul $jwt.generatedTokenDays 86400))
| toJson -}}
{{- $signed := printf "%s.%s" (include "diptych.base64url" $header) (include "diptych.base64url" $claims) -}}
{{- $signature := include "diptych.hmac" (dict "key" .key "text" $signed) -}}
{{ $signed }}.{{ include "diptych.base64url" (include "diptych.bytes" $signature) }}
{{- end }}

{{- define "diptych.issuer" -}}
{{- default (ternary "diptych-development" "" (eq (include "diptych.hasGeneratedKey" .) "true")) .Values.edge.jwt.issuer -}}
{{- end }}

{{/* Name of the Secret with the generated key. */}}
{{- define "diptych.generatedSecret" -}}
{{ include "diptych.fullname" . }}-token
{{- end }}
