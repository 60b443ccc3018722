{{/* Bytes of a quantity of memory: 4Gi, 512Mi, 1.5G, 4294967296, as text or as a number. */}}
{{- define "data-sanitizer.bytes" -}}
{{- $text := "" -}}
{{- if kindIs "string" . -}}
{{- $text = trim . -}}
{{- else -}}
{{- /* Numbers come as floats, which would be printed as 4.294967296e+09. */ -}}
{{- $text = printf "%.0f" (float64 .) -}}
{{- end -}}
{{- $factors := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- if or (eq $number "") (not (hasKey $factors $unit)) -}}
{{- fail (printf "%q is no quantity of memory; expected one such as 4Gi, 512Mi or 4294967296" $text) -}}
{{- end -}}
{{- printf "%.0f" (mulf (float64 $number) (float64 (get $factors $unit))) -}}
{{- end -}}

{{/* What the engine may take of a container's memory, as the program reads it. Arguments: resources, percent, of (for the message). */}}
{{- define "data-sanitizer.memory" -}}
{{- $limit := dig "limits" "memory" "" .resources -}}
{{- if not $limit -}}
{{- fail (printf "%s.resources.limits.memory must be set: the engine's own limit is a share of it" .of) -}}
{{- end -}}
{{- $mebibytes := divf (mulf (include "data-sanitizer.bytes" $limit | float64) (float64 .percent)) 104857600 | floor -}}
{{- if lt $mebibytes 64.0 -}}
{{- fail (printf "%s: %v%% of %v are less than 64 MiB: too little to work with" .of .percent $limit) -}}
{{- end -}}
{{- printf "%.0fMiB" $mebibytes -}}
{{- end -}}

{{/* Whole cores of a limit or request of CPU, at least one. A node has more, and without a limit a program would count those. */}}
{{- define "data-sanitizer.cores" -}}
{{- $cpu := dig "limits" "cpu" "" . | default (dig "requests" "cpu" "1" .) -}}
{{- $cores := 0.0 -}}
{{- if and (kindIs "string" $cpu) (hasSuffix "m" $cpu) -}}
{{- $cores = divf (trimSuffix "m" $cpu | float64) 1000 -}}
{{- else -}}
{{- $cores = float64 $cpu -}}
{{- end -}}
{{- max 1 (floor $cores | int) -}}
{{- end -}}
