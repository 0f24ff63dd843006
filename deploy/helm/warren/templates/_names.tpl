{{- define "warren.name" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "warren.peers" -}}
{{ include "warren.name" . }}-peers
{{- end -}}

{{- define "warren.secret" -}}
{{- .Values.auth.existingSecret | default (printf "%s-default-user" (include "warren.name" .)) -}}
{{- end -}}

{{- define "warren.peersSecret" -}}
{{- .Values.auth.existingPeersSecret | default (include "warren.peers" .) -}}
{{- end -}}

{{- /* Something, if clients may come without TLS. */ -}}
{{- define "warren.plain" -}}
{{- if not .Values.tls.disableNonTLSListeners -}}
plain
{{- else if not .Values.tls.existingSecret -}}
{{- fail "tls.disableNonTLSListeners wants tls.existingSecret: clients would have no way in" -}}
{{- end -}}
{{- end -}}

{{- /* Where clients connect, as scheme and port. */ -}}
{{- define "warren.scheme" -}}
{{ if include "warren.plain" . }}amqp{{ else }}amqps{{ end }}
{{- end -}}

{{- define "warren.port" -}}
{{ if include "warren.plain" . }}5672{{ else }}5671{{ end }}
{{- end -}}

{{- define "warren.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "warren.labels" -}}
{{ include "warren.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{- /* One setting as a line of TOML: texts, truths, numbers, and lists of them. */ -}}
{{- define "warren.setting" -}}
{{- if kindIs "float64" .value -}}
{{ .key }} = {{ if eq (floor .value) .value }}{{ int64 .value }}{{ else }}{{ .value }}{{ end }}
{{- else -}}
{{ .key }} = {{ toJson .value }}
{{- end -}}
{{- end -}}
