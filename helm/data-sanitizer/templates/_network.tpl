{{/* Who may use Ballista's ports: scheduler, executors, Flight SQL. Argument: root. */}}
{{- define "data-sanitizer.members" }}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "data-sanitizer.name" . }}
      app.kubernetes.io/instance: {{ .Release.Name }}
    matchExpressions:
      - {key: app.kubernetes.io/component, operator: In, values: [scheduler, executor, flight-sql]}
{{- with .Values.networkPolicy.drivers }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Who may use the metrics' port. Argument: root. */}}
{{- define "data-sanitizer.metricsRule" }}
{{- if .Values.metrics.enabled }}
- ports: [{port: 9464}]
  from:
    {{- toYaml .Values.networkPolicy.monitoring | nindent 4 }}
{{- end }}
{{- end -}}
