{{- define "data-sanitizer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Shorter than the 63 characters of a label, for suffixes come behind it. */}}
{{- define "data-sanitizer.fullname" -}}
{{- $name := include "data-sanitizer.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "data-sanitizer.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "data-sanitizer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What selects pods: never changes in the life of a release. Arguments: root, component. */}}
{{- define "data-sanitizer.selector" -}}
app.kubernetes.io/name: {{ include "data-sanitizer.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of a resource. Arguments: root, component. */}}
{{- define "data-sanitizer.labels" -}}
{{- include "data-sanitizer.selector" . }}
app.kubernetes.io/part-of: data-sanitizer
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a pod: without versions, which would replace it when only the chart has changed. Arguments: root, component. */}}
{{- define "data-sanitizer.podLabels" -}}
{{- include "data-sanitizer.selector" . }}
app.kubernetes.io/part-of: data-sanitizer
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image by digest or tag. Arguments: root, image. */}}
{{- define "data-sanitizer.image" -}}
{{- $name := printf "%s/%s" .image.registry .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $name .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The address of the scheduler for members. */}}
{{- define "data-sanitizer.cluster" -}}
{{- printf "df://%s-cluster:50050" (include "data-sanitizer.fullname" .) -}}
{{- end -}}
