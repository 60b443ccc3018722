{{/* Where and as whom a pod runs. Arguments: root, role (the values of the role), component. */}}
{{- define "data-sanitizer.pod" -}}
serviceAccountName: {{ include "data-sanitizer.serviceAccount" .root }}
# Nothing here talks to Kubernetes. Workload identity brings tokens of its own.
automountServiceAccountToken: false
# Variables that Kubernetes makes of service names may begin with SANITIZER_SCHEDULER_, which the programs refuse to start with.
enableServiceLinks: false
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .role.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .role.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a pod. Arguments: root, role, component. */}}
{{- define "data-sanitizer.podMetadata" -}}
labels:
  {{- include "data-sanitizer.podLabels" . | nindent 2 }}
  {{- with .role.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := dict "kubectl.kubernetes.io/default-container" .component -}}
{{- if and .root.Values.metrics.enabled .root.Values.metrics.scrapeAnnotations -}}
{{- $annotations = merge $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" "9464" "prometheus.io/path" "/metrics") -}}
{{- end }}
annotations:
  {{- merge (deepCopy .role.podAnnotations) $annotations | toYaml | nindent 2 }}
{{- end -}}

{{/* Variables that all programs understand. Arguments: root, component. */}}
{{- define "data-sanitizer.commonEnv" -}}
- name: SANITIZER_LOG_FORMAT
  value: {{ .root.Values.log.format }}
- name: SANITIZER_LOG
  value: {{ .root.Values.log.level | quote }}
- name: TMPDIR
  value: /scratch
# The images turn them on; where they are not wanted, nobody outside the pod reaches them.
- name: SANITIZER_METRICS
  value: {{ ternary "0.0.0.0" "127.0.0.1" .root.Values.metrics.enabled }}:9464
{{- with .root.Values.tracing.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_SERVICE_NAME
  value: data-sanitizer-{{ $.component }}
{{- end }}
{{- range $name, $value := .root.Values.store.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{/* Secrets that whoever works on a job needs: they never travel with it. Argument: root. */}}
{{- define "data-sanitizer.secretEnv" -}}
{{- with .Values.secrets.salt }}
{{- if .existingSecret }}
- name: SANITIZER_SALT
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- with .Values.secrets.tokenKey }}
{{- if .existingSecret }}
- name: SANITIZER_TOKEN_KEY
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}
{{- end }}
{{- end }}
{{- end -}}

{{/* The store's secret and the role's own sources of variables. Arguments: root, role. */}}
{{- define "data-sanitizer.envFrom" -}}
{{- if or .root.Values.store.existingSecret .role.extraEnvFrom }}
envFrom:
  {{- with .root.Values.store.existingSecret }}
  - secretRef: {name: {{ . }}}
  {{- end }}
  {{- with .role.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Databases of the service, for the scheduler and the migrations. Argument: root. */}}
{{- define "data-sanitizer.databaseEnv" -}}
{{- if .Values.postgresql.enabled }}
- name: POSTGRES_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "data-sanitizer.postgresqlSecret" . }}, key: {{ .Values.postgresql.passwordKey }}}}
- name: SANITIZER_API_DATABASE
  value: {{ printf "postgres://%s:$(POSTGRES_PASSWORD)@%s-postgresql:5432/%s" .Values.postgresql.username (include "data-sanitizer.fullname" .) .Values.postgresql.database }}
{{- else }}
- name: SANITIZER_API_DATABASE
  valueFrom: {secretKeyRef: {name: {{ .Values.database.existingSecret }}, key: {{ .Values.database.urlKey }}}}
{{- with .Values.database.tokenUrlKey }}
- name: SANITIZER_API_TOKEN_DATABASE
  valueFrom: {secretKeyRef: {name: {{ $.Values.database.existingSecret }}, key: {{ . }}}}
{{- end }}
{{- end }}
{{- end -}}

{{- define "data-sanitizer.postgresqlSecret" -}}
{{- default (printf "%s-postgresql" (include "data-sanitizer.fullname" .)) .Values.postgresql.existingSecret -}}
{{- end -}}

{{/* The volume for temporary files: the root file system is read-only. Argument: scratch. */}}
{{- define "data-sanitizer.scratch" -}}
- name: scratch
{{- if .storageClass }}
  ephemeral:
    volumeClaimTemplate:
      spec:
        accessModes: [ReadWriteOnce]
        storageClassName: {{ .storageClass }}
        resources: {requests: {storage: {{ .size }}}}
{{- else }}
  emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end -}}

{{/* The shared folder where there is no object store. Argument: root. */}}
{{- define "data-sanitizer.storeVolume" -}}
{{- if .Values.store.volume.enabled }}
- name: store
  persistentVolumeClaim: {claimName: {{ default (printf "%s-store" (include "data-sanitizer.fullname" .)) .Values.store.volume.existingClaim }}}
{{- end }}
{{- end -}}

{{/* The home of Flight SQL, which executors write tables to. Argument: root. */}}
{{- define "data-sanitizer.homeVolume" -}}
{{- if .Values.flightSql.enabled }}
- name: home
  persistentVolumeClaim: {claimName: {{ default (printf "%s-flight-sql" (include "data-sanitizer.fullname" .)) .Values.flightSql.home.existingClaim }}}
{{- end }}
{{- end -}}

{{/* Who a member of the cluster is, for the others. Argument: root. */}}
{{- define "data-sanitizer.memberEnv" -}}
{{- if .Values.cluster.tls.enabled }}
- name: SANITIZER_CLUSTER_CERT
  value: /members/tls.crt
- name: SANITIZER_CLUSTER_KEY
  value: /members/tls.key
- name: SANITIZER_CLUSTER_CA
  value: /members/ca.crt
- name: SANITIZER_CLUSTER_NAME
  value: {{ .Values.cluster.tls.name }}
{{- end }}
{{- end -}}

{{/* Where a member's certificates are mounted. Argument: root. */}}
{{- define "data-sanitizer.memberMount" -}}
{{- if .Values.cluster.tls.enabled }}
- {name: members, mountPath: /members, readOnly: true}
{{- end }}
{{- end -}}

{{/* The volume of a member's certificates. Argument: root. */}}
{{- define "data-sanitizer.memberVolume" -}}
{{- if .Values.cluster.tls.enabled }}
- name: members
  # Readable by the group of the pod only.
  secret: {secretName: {{ include "data-sanitizer.memberSecret" . }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- define "data-sanitizer.memberSecret" -}}
{{- default (printf "%s-members" (include "data-sanitizer.fullname" .)) .Values.cluster.tls.existingSecret -}}
{{- end -}}

{{/* Whether an executor is known to the scheduler. Kubernetes has no certificate of a member, so it asks beside the members' ports. Argument: root. */}}
{{- define "data-sanitizer.executorProbe" -}}
{{- if .Values.metrics.enabled }}
httpGet: {path: /readyz, port: metrics}
{{- else }}
exec: {command: [http-ok, SANITIZER_METRICS, /readyz]}
{{- end }}
{{- end -}}
