"""Breaks copies of the chart, one thing at a time, and demands that the check that is there for it fails. Each check must be made to fail."""

import argparse
import concurrent.futures
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import checks  # noqa: F401, fills the lists of checks
import render
from checking.base import CHART, RELEASE

SCHEDULER, EXECUTOR, FLIGHT = (f"templates/{role}/deployment.yaml" for role in ("scheduler", "executor", "flight-sql"))
POD, KEDA, NETWORK, SCHEMA = "templates/_pod.tpl", "templates/executor/keda.yaml", "templates/networkpolicy.yaml", "values.schema.json"
POSTGRES, MIGRATE, QUANTITIES = "templates/postgresql/statefulset.yaml", "templates/scheduler/migrate.yaml", "templates/_quantities.tpl"
VALIDATE, SERVICES, MONITORS = "templates/_validate.tpl", "templates/scheduler/services.yaml", "templates/monitoring/monitors.yaml"

# The check that must fail; the file of the chart; what stands there; what stands there then (all occurrences, None: the file is removed).
MUTATIONS = [
    ("kubernetes_takes_it", EXECUTOR, "strategy:", "strategie:"),
    ("kubernetes_takes_it", SERVICES, "publishNotReadyAddresses: true", "publishNotReadyAddresses: 1"),
    ("kubernetes_takes_it", NETWORK, "policyTypes: [Ingress]", "policyTypes: Ingress"),
    ("lint_is_content", "templates/executor/disruption.yaml", "policy/v1", "policy/v1beta1"),
    ("lint_is_content", KEDA, "name: {{ $name }}-queue", "name: {{ $name }}_queue"),
    ("pods_are_locked_down", "values.yaml", "capabilities: {drop: [ALL]}", "capabilities: {drop: [NET_RAW]}"),
    ("pods_are_locked_down", "values.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
    ("pods_are_locked_down", "values.yaml", "seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}"),
    ("pods_are_locked_down", POD, "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    ("pods_are_locked_down", POD, "enableServiceLinks: false", "enableServiceLinks: true"),
    ("pods_are_locked_down", MIGRATE, "          securityContext:\n            {{- toYaml .Values.containerSecurityContext | nindent 12 }}\n", ""),
    ("containers_have_limits", "templates/tests/ready.yaml", "limits: {memory: 64Mi}", "limits: {}"),
    ("containers_have_limits", POSTGRES, "          resources:\n            {{- toYaml $pg.resources | nindent 12 }}\n", ""),
    ("containers_have_probes", EXECUTOR, "readinessProbe", "lifecycle"),
    ("containers_have_probes", POD, "httpGet: {path: /readyz, port: metrics}", "httpGet: {path: /healthz, port: metrics}"),
    ("containers_have_probes", POD, "exec: {command: [http-ok, SANITIZER_METRICS, /readyz]}", "exec: {command: [http-ok, SANITIZER_METRICS, /healthz]}"),
    ("containers_have_probes", SCHEDULER, 'ternary "HTTPS" "HTTP"', 'ternary "HTTP" "HTTP"'),
    ("containers_have_probes", POSTGRES, "startupProbe", "lifecycle"),
    ("services_reach_ports", SERVICES, "targetPort: http", "targetPort: https"),
    ("services_reach_ports", "templates/flight-sql/service.yaml", '"component" "flight-sql"', '"component" "flight"'),
    ("workloads_select_their_pods", EXECUTOR, '{{- include "data-sanitizer.selector" $of | nindent 6 }}', '{{- include "data-sanitizer.labels" $of | nindent 6 }}'),
    ("workloads_select_their_pods", "templates/_names.tpl", '{{- include "data-sanitizer.selector" . }}\napp.kubernetes.io/part-of: data-sanitizer\n{{- with',
     '{{- include "data-sanitizer.labels" . }}\n{{- with'),
    ("cluster_ports_stay_inside", SERVICES, "  type: ClusterIP", "  type: NodePort"),
    ("cluster_ports_stay_inside", "templates/scheduler/ingress.yaml", '{{ include "data-sanitizer.fullname" $ }}, port: {name: http}',
     '{{ include "data-sanitizer.fullname" $ }}-cluster, port: {name: cluster}'),
    ("network_is_closed", NETWORK, "[{port: 50051}, {port: 50052}]", "[{port: 50051}]"),
    ("network_is_closed", NETWORK, '        {{- with include "data-sanitizer.members" . | trim }}{{ . | nindent 8 }}{{ end }}', "        - podSelector: {}"),
    ("network_is_closed", "templates/_network.tpl", "      app.kubernetes.io/instance: {{ .Release.Name }}\n", ""),
    ("network_is_closed", "templates/_network.tpl", "[scheduler, executor, flight-sql]", "[scheduler, executor]"),
    ("network_is_closed", "templates/_network.tpl", "- podSelector:", "- namespaceSelector: {}\n  podSelector:"),
    ("network_is_closed", "templates/_network.tpl", "  from:\n    {{- toYaml .Values.networkPolicy.monitoring | nindent 4 }}\n", ""),
    ("network_is_closed", NETWORK, "    - ports: [{port: 8080}]", "    - {}\n    - ports: [{port: 8080}]"),
    ("network_is_closed", NETWORK, '        {{- toYaml $policy.database | nindent 8 }}\n', "        - podSelector: {}\n"),
    ("network_is_closed", NETWORK, '(dict "root" $ "component" "test")', '(dict "root" $ "component" "tests")'),
    ("memory_follows_the_limit", QUANTITIES, "104857600", "100000000"),
    ("memory_follows_the_limit", EXECUTOR, '"percent" $role.memoryPercent', '"percent" 80'),
    ("memory_follows_the_limit", EXECUTOR, "int $role.slots | default", "int 0 | default"),
    ("memory_takes_all_notations", QUANTITIES, '"M" 1e6', '"M" 1048576'),
    ("memory_takes_all_notations", QUANTITIES, 'printf "%.0f" (float64 .)', 'printf "%v" .'),
    ("memory_takes_all_notations", QUANTITIES, "max 1 (floor $cores | int)", "floor $cores | int"),
    ("secrets_stay_secret", POD, "valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: {{ .key }}}}", "value: salt"),
    ("secrets_stay_secret", POSTGRES, "            - name: POSTGRES_DB\n", "            - name: POSTGRES_INITDB_PASSWORD\n              value: x\n            - name: POSTGRES_DB\n"),
    ("secrets_stay_secret", "templates/postgresql/secret.yaml", "randAlphaNum 32", 'print "sanitizer-sanitizer-sanitizer" | replace "sanitizer-" "" | printf "data-%s-postgresql"'),
    ("programs_know_what_they_get", SCHEDULER, "SANITIZER_API_JOB_MEMORY", "SANITIZER_API_MEMORY"),
    ("programs_know_what_they_get", SCHEDULER, '"--source"', '"--sources"'),
    ("programs_know_what_they_get", FLIGHT, "[sanitizer, serve]", "[sanitizer, server]"),
    ("programs_know_what_they_get", "values.yaml", "readinessPath: /readyz", "readinessPath: /readiness"),
    ("programs_know_what_they_get", EXECUTOR, "SANITIZER_EXECUTOR_TASK_PORT", "SANITIZER_EXECUTOR_PORT"),
    ("ends_are_long_enough", "values.yaml", "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 25"),
    ("ends_are_long_enough", "values.yaml", "terminationGracePeriodSeconds: 300", "terminationGracePeriodSeconds: 30"),
    ("ends_are_long_enough", EXECUTOR, "failureThreshold: 40", "failureThreshold: 10"),
    ("ends_are_long_enough", EXECUTOR, "failureThreshold: 15", "failureThreshold: 3"),
    ("volumes_fit", SCHEDULER, "            - {name: scratch, mountPath: /scratch}\n", ""),
    ("volumes_fit", SCHEDULER, "            - {name: tls, mountPath: /tls, readOnly: true}", "            - {name: tls, mountPath: /cert, readOnly: true}"),
    ("volumes_fit", EXECUTOR, "/scratch/results", "/results"),
    ("volumes_fit", POD, "emptyDir: {sizeLimit: {{ .size }}}", "emptyDir: {}"),
    ("volumes_fit", EXECUTOR, "            {{- if .Values.store.volume.enabled }}\n            - {name: store, mountPath: /store}\n            {{- end }}\n", ""),
    ("volumes_fit", "templates/claims.yaml", '"suffix" "store"', '"suffix" "data"'),
    ("volumes_fit", "templates/serviceaccount.yaml", 'name: {{ include "data-sanitizer.serviceAccount" . }}', "name: account"),
    ("workers_have_the_keys", EXECUTOR, '{{- with include "data-sanitizer.secretEnv" . | trim }}{{ . | nindent 12 }}{{ end }}', ""),
    ("workers_have_the_keys", EXECUTOR, '{{- with include "data-sanitizer.envFrom" $of | trim }}{{ . | nindent 10 }}{{ end }}', ""),
    ("members_find_each_other", SERVICES, "publishNotReadyAddresses: true", "publishNotReadyAddresses: false"),
    ("members_find_each_other", SCHEDULER, "value: {{ $name }}-cluster", "value: {{ $name }}"),
    ("members_find_each_other", FLIGHT, "127.0.0.1:8080", "0.0.0.0:8080"),
    ("members_find_each_other", EXECUTOR, "fieldPath: status.podIP", "fieldPath: status.hostIP"),
    ("members_prove_who_they_are", EXECUTOR, '            {{- with include "data-sanitizer.memberEnv" . | trim }}{{ . | nindent 12 }}{{ end }}\n', ""),
    ("members_prove_who_they_are", SCHEDULER, "{{- if not .Values.cluster.tls.enabled }}", "{{- if true }}"),
    ("members_prove_who_they_are", "templates/cluster/certificates.yaml", "server auth, client auth", "server auth"),
    ("members_prove_who_they_are", POD, 'secretName: {{ include "data-sanitizer.memberSecret" . }}, defaultMode: 0440', 'secretName: {{ include "data-sanitizer.memberSecret" . }}, defaultMode: 0444'),
    ("contradictions_are_refused", VALIDATE, "and .enabled (not .existingSecret) (not .certManager.enabled)", "and false true"),
    ("there_is_one_scheduler", SCHEDULER, "strategy: {type: Recreate}", "strategy: {type: RollingUpdate}"),
    ("one_thing_scales", EXECUTOR, "  {{- if not (or $role.autoscaling.enabled $role.keda.enabled) }}\n  replicas: {{ int $role.replicas }}\n  {{- end }}",
     "  replicas: {{ int $role.replicas }}"),
    ("one_thing_scales", "templates/executor/autoscaler.yaml", "kind: Deployment", "kind: StatefulSet"),
    ("one_thing_scales", SCHEDULER, "ternary 900 120", "ternary 120 120"),
    ("one_thing_scales", KEDA, "'pass1_running', ", ""),
    ("one_thing_scales", KEDA, 'ignoreNullValues: "false"', 'ignoreNullValues: "true"'),
    ("disruption_leaves_executors", "templates/executor/disruption.yaml", '"component" "executor") | nindent 6', '"component" "executors") | nindent 6'),
    ("spread_counts_executors", EXECUTOR, '{{- include "data-sanitizer.selector" $of | nindent 14 }}', "app.kubernetes.io/component: executors"),
    ("migrations_come_first", MIGRATE, "pre-install,pre-upgrade", "post-install,post-upgrade"),
    ("migrations_come_first", MIGRATE, " (not .Values.postgresql.enabled)", ""),
    ("migrations_come_first", MIGRATE, "serviceAccountName: {{ .Values.database.migrations.serviceAccountName }}", 'serviceAccountName: {{ include "data-sanitizer.serviceAccount" . }}'),
    ("migrations_come_first", MIGRATE, "--database=$(SANITIZER_API_DATABASE)", "--database=$(DATABASE)"),
    ("monitors_find_metrics", MONITORS, "- port: metrics", "- port: http"),
    ("monitors_find_metrics", MONITORS, '$components = append $components "flight-sql"', '$components = $components'),
    ("monitors_find_metrics", POD, 'ternary "0.0.0.0" "127.0.0.1"', 'ternary "0.0.0.0" "0.0.0.0"'),
    ("files_arrive_unchanged", "templates/monitoring/dashboards.yaml", "{{- $content | toString | nindent 4 }}", '{"title": "another"}'),
    ("files_arrive_unchanged", "templates/monitoring/rules.yaml", "{{- toYaml $rules.groups | nindent 4 }}", "- {name: another}"),
    ("files_are_not_templates", "templates/monitoring/rules.yaml", "{{- toYaml $rules.groups | nindent 4 }}", "{{- tpl (toYaml $rules.groups) $ | nindent 4 }}"),
    ("files_are_not_templates", "templates/monitoring/rules.yaml", 'or (hasKey $rules "Error") (not (hasKey $rules "groups"))', "false"),
    ("images_are_pinned", "templates/_names.tpl", "default .root.Chart.AppVersion .image.tag", 'default "latest" .image.tag'),
    ("images_are_pinned", "templates/_names.tpl", 'printf "%s@%s" $name .image.digest', 'printf "%s:%s" $name .image.digest'),
    ("images_are_pinned", MIGRATE, "imagePullSecrets:", "hostAliases:"),
    ("names_fit", "templates/flight-sql/service.yaml", "-flight-sql\n", "\n"),
    ("names_fit", "templates/serviceaccount.yaml", "metadata:\n", "metadata:\n  namespace: here\n"),
    ("notes_help", "templates/NOTES.txt", "dsk_.*", "key.*"),
    ("notes_help", "templates/tests/ready.yaml", 'ternary "https" "http"', 'ternary "http" "http"'),
    ("settings_take_effect", POD, "{{- with .role.nodeSelector }}", "{{- with .role.nodeSelectors }}"),
    ("settings_take_effect", EXECUTOR, "            {{- with $role.extraEnv }}\n            {{- toYaml . | nindent 12 }}\n            {{- end }}\n", ""),
    ("settings_take_effect", POD, "value: data-sanitizer-{{ $.component }}", "value: data-sanitizer"),
    ("settings_take_effect", POD, "{{- if .storageClass }}", "{{- if false }}"),
    ("settings_take_effect", "templates/serviceaccount.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    ("custom_resources_are_valid", KEDA, "pollingInterval:", "pollInterval:"),
    ("custom_resources_are_valid", KEDA, "maxReplicaCount: {{ int .maxReplicas }}", "maxReplicaCount: many"),
    ("custom_resources_are_valid", MONITORS, "interval: {{ .interval }}", "interval: often"),
    ("contradictions_are_refused", VALIDATE, "and $v.executor.autoscaling.enabled $v.executor.keda.enabled", "and false true"),
    ("contradictions_are_refused", VALIDATE, "not (or $v.database.existingSecret $v.postgresql.enabled)", "not true"),
    ("contradictions_are_refused", SCHEMA, '"const": true', '"type": "boolean"'),
    ("contradictions_are_refused", SCHEMA, "SECRET|ACCESS_KEY|", ""),
    ("unknown_values_are_refused", SCHEMA, '"executor": {\n      "type": "object",\n      "additionalProperties": false', '"executor": {\n      "type": "object",\n      "additionalProperties": true'),
    ("long_names_work", "templates/_names.tpl", "trunc 40", "trunc 63"),
    ("long_names_work", "templates/_names.tpl", '{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}', "{{- $name -}}"),
    ("passwords_are_kept", "templates/postgresql/secret.yaml", "$known | default dict", "dict"),
    ("passwords_are_kept", "templates/postgresql/secret.yaml", "randAlphaNum 32", 'print "12345678901234567890123456789012"'),
    ("plain_is_up_to_date", EXECUTOR, "failureThreshold: 40", "failureThreshold: 41"),
    ("plain_is_up_to_date", "../plain/kustomization.yaml", "  - network.yaml\n", ""),
    ("plain_is_up_to_date", "../plain/README.md", "create secret generic data-sanitizer-store", "create secret generic store"),
    ("documentation_is_up_to_date", "values.yaml", "replicas: 2", "replicas: 3"),
    ("documentation_is_up_to_date", "values.yaml", "  # Tasks at the same time, which share the memory evenly; from the limit of CPU, or the request, when 0\n", ""),
    ("documentation_is_up_to_date", "README.md", "ci/tls.yaml", "ci/https.yaml"),
    ("nothing_private_is_inside", "values.yaml", "# Address of Prometheus", "# Address of Prometheus, see /" + "root/notes"),
    ("nothing_private_is_inside", "values.yaml", "registry: ghcr.io", "registry: registry.internal"),
    ("the_queue_is_counted", "files/scaler.sql", "CREATE POLICY", "-- CREATE POLICY"),
    ("the_queue_is_counted", "files/scaler.sql", "GRANT SELECT (status) ON jobs", "GRANT SELECT ON jobs"),
    ("the_queue_is_counted", KEDA, "FROM jobs WHERE status IN", "FROM job WHERE status IN"),
]


def copy_of(folder: str) -> Path:
    root = Path(folder)
    for name in (render.NAME, "plain"):
        shutil.copytree(render.HERE / name, root / name)
    return root


def attempt(number: int, node: Path | None) -> str | None:
    """What went wrong, if the mutation was not noticed."""
    check, file, old, new = MUTATIONS[number]
    with tempfile.TemporaryDirectory() as folder:
        root = copy_of(folder)
        path = root / render.NAME / file
        text = path.read_text()
        if old not in text:
            return f"{check}: {file} does not have {old!r}"
        path.write_text(text.replace(old, new))
        command = [sys.executable, render.HERE / "chart-tests" / "checks.py", "--root", root, "--only", check]
        if check != "the_queue_is_counted":
            command.append("--quick")
        if node is not None:
            command += ["--node", node]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 1 and f"FAILED {check} " in done.stderr:
            return None
        return f"{check} does not notice that {old!r} became {new!r} in {file}: {(done.stdout + done.stderr).strip()[-600:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", type=Path)
    arguments = parser.parse_args()
    never = {check.__name__ for check in RELEASE + CHART} - {mutation[0] for mutation in MUTATIONS}
    if never:
        print(f"checks that nothing makes fail: {sorted(never)}", file=sys.stderr)
        return 1
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        missed = [m for m in pool.map(lambda number: attempt(number, arguments.node), range(len(MUTATIONS))) if m]
    for message in missed:
        print(f"MISSED {message}", file=sys.stderr)
    print(f"{len(MUTATIONS)} mutations, {len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
