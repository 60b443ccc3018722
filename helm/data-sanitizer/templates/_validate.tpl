{{/* What the schema cannot say: values that contradict each other. */}}
{{- define "data-sanitizer.validate" -}}
{{- $v := .Values -}}
{{- if and $v.executor.autoscaling.enabled $v.executor.keda.enabled -}}
{{- fail "executor.autoscaling and executor.keda are both enabled: two scalers would fight over the executors; enable one" -}}
{{- end -}}
{{- if and $v.database.existingSecret $v.postgresql.enabled -}}
{{- fail "database.existingSecret and postgresql.enabled are both set: name your database or take the bundled one" -}}
{{- end -}}
{{- if not (or $v.database.existingSecret $v.postgresql.enabled) -}}
{{- fail "no database: set database.existingSecret to a secret with its URL, or postgresql.enabled=true for a trial" -}}
{{- end -}}
{{- if and $v.store.url $v.store.volume.enabled -}}
{{- fail "store.url and store.volume.enabled are both set: choose one" -}}
{{- end -}}
{{- if not (or $v.store.url $v.store.volume.enabled) -}}
{{- fail "no store: set store.url (s3://BUCKET/PREFIX), or store.volume.enabled=true for a shared folder" -}}
{{- end -}}
{{- with $v.cluster.tls -}}
{{- if and .existingSecret .certManager.enabled -}}
{{- fail "cluster.tls.existingSecret and cluster.tls.certManager.enabled are both set: choose one" -}}
{{- end -}}
{{- if and .enabled (not .existingSecret) (not .certManager.enabled) -}}
{{- fail "no certificates for the members of the cluster: set cluster.tls.existingSecret to a secret with tls.crt, tls.key and ca.crt, or cluster.tls.certManager.enabled=true, or cluster.tls.enabled=false where network policies are enforced and are enough" -}}
{{- end -}}
{{- end -}}
{{- with $v.executor.keda -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail "executor.keda.minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if and (eq .trigger "postgresql") (not $v.postgresql.enabled) (not .postgresql.existingSecret) -}}
{{- fail "executor.keda.postgresql.existingSecret must name a secret with the URL of a login that may count jobs (see files/scaler.sql)" -}}
{{- end -}}
{{- if and (eq .trigger "prometheus") (not .prometheus.serverAddress) -}}
{{- fail "executor.keda.prometheus.serverAddress must be set for the prometheus trigger" -}}
{{- end -}}
{{- if and (eq .trigger "prometheus") (not $v.metrics.enabled) -}}
{{- fail "the prometheus trigger of executor.keda needs metrics.enabled" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.executor.autoscaling.enabled (gt (int $v.executor.autoscaling.minReplicas) (int $v.executor.autoscaling.maxReplicas)) -}}
{{- fail "executor.autoscaling.minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if and $v.executor.autoscaling.enabled (not (dig "requests" "cpu" "" $v.executor.resources)) -}}
{{- fail "executor.autoscaling needs executor.resources.requests.cpu: its target is a share of it" -}}
{{- end -}}
{{- if and $v.flightSql.enabled (not $v.flightSql.allow) -}}
{{- fail "flightSql.allow must name what statements may read and write, for example TENANT=s3://bucket/: without it they read only what was sent" -}}
{{- end -}}
{{- if and (or $v.metrics.monitors.enabled $v.metrics.rules.enabled) (not $v.metrics.enabled) -}}
{{- fail "metrics.monitors and metrics.rules need metrics.enabled" -}}
{{- end -}}
{{- end -}}
