#!/usr/bin/env python3
"""Makes the Grafana dashboards.

    dashboards.py            writes data-sanitizer/files/dashboards/*.json
    dashboards.py --check    says whether they are up to date; exit status 1 where one is not

A dashboard is a list of rows, a row a list of panels; where a panel stands follows from its width.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "data-sanitizer" / "files" / "dashboards"

# One for all dashboards: they belong to a Grafana of any name.
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Failures that the service answers for; as in rules.yaml.
SERVICE_KINDS = "unavailable|bug|exhausted|conflict|late"

GREEN, YELLOW, RED = "green", "#EAB839", "red"


def rising(warning, bad):
    """Thresholds of what is worse the more it is."""
    return [(None, GREEN), (warning, YELLOW), (bad, RED)]


def falling(bad, warning):
    """Thresholds of what is worse the less it is."""
    return [(None, RED), (bad, YELLOW), (warning, GREEN)]


@dataclass
class Panel:
    """A panel: what it shows, how, and why one looks at it."""

    title: str
    description: str
    # Expression and legend, of each line.
    queries: list
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    # Value from which on a colour holds; the first is without value.
    thresholds: list = field(default_factory=lambda: [(None, GREEN)])
    stacked: bool = False
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    # Words for values.
    words: dict = field(default_factory=dict)
    # Titles of the columns of a table, by label.
    columns: dict = field(default_factory=dict)

    @property
    def instant(self):
        return self.kind in ("stat", "gauge", "bargauge", "table")

    def json(self, number, x, y):
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATASOURCE,
            "gridPos": {"h": self.height, "w": self.width, "x": x, "y": y},
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides()},
            "options": self.options(),
            "targets": [self.target(*query, place) for place, query in enumerate(self.queries)],
            "transformations": self.transformations(),
        }

    def target(self, expression, legend, place):
        return {
            "refId": chr(ord("A") + place),
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": expression,
            "legendFormat": legend,
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.kind == "table" else "time_series",
        }

    def defaults(self):
        steps = [{"value": value, "color": color} for value, color in self.thresholds]
        limited = len(steps) > 1
        defaults = {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": "thresholds" if self.instant else "palette-classic"},
            "mappings": self.mappings(),
        }
        for name, value in (("min", self.minimum), ("max", self.maximum), ("decimals", self.decimals)):
            if value is not None:
                defaults[name] = value
        if self.kind == "timeseries":
            defaults["custom"] = {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 25 if self.stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if limited else "off"},
            }
        if self.kind == "state-timeline":
            defaults["custom"] = {"lineWidth": 0, "fillOpacity": 80}
            defaults["color"] = {"mode": "thresholds"}
        return defaults

    def mappings(self):
        if not self.words:
            return []
        options = {
            str(value): {"text": text, "color": color, "index": index}
            for index, (value, (text, color)) in enumerate(self.words.items())
        }
        return [{"type": "value", "options": options}]

    def overrides(self):
        # A limit is a line of its own, whatever the palette says.
        limits = [legend for _, legend in self.queries if legend in ("objective", "budget", "limit")]
        return [
            {
                "matcher": {"id": "byName", "options": legend},
                "properties": [
                    {"id": "color", "value": {"mode": "fixed", "fixedColor": RED}},
                    {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
                    {"id": "custom.fillOpacity", "value": 0},
                ],
            }
            for legend in limits
            if self.kind == "timeseries"
        ]

    def options(self):
        last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        if self.kind == "stat":
            return {
                "reduceOptions": last,
                "colorMode": "value",
                "graphMode": "none",
                "textMode": "auto",
                "justifyMode": "auto",
                "orientation": "auto",
            }
        if self.kind == "gauge":
            return {"reduceOptions": last, "showThresholdMarkers": True, "showThresholdLabels": False}
        if self.kind == "bargauge":
            return {
                "reduceOptions": last,
                "displayMode": "basic",
                "orientation": "horizontal",
                "showUnfilled": True,
                "valueMode": "color",
            }
        if self.kind == "table":
            return {"showHeader": True, "cellHeight": "sm", "footer": {"show": False}}
        if self.kind == "state-timeline":
            return {
                "mergeValues": True,
                "showValue": "never",
                "rowHeight": 0.8,
                "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "single", "sort": "none"},
            }
        return {
            "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }

    def transformations(self):
        if self.kind != "table":
            return []
        order = {name: place for place, name in enumerate(self.columns)}
        return [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "indexByName": order,
                    "renameByName": self.columns,
                },
            },
        ]


@dataclass
class Row:
    """Panels with something in common."""

    title: str
    panels: list


@dataclass
class Dashboard:
    """A dashboard."""

    name: str
    uid: str
    title: str
    description: str
    rows: list
    since: str = "now-6h"
    refresh: str = "30s"
    by_tenant: bool = True

    def json(self):
        panels, number, y = [], 0, 0
        for row in self.rows:
            number += 1
            panels.append(
                {
                    "id": number,
                    "type": "row",
                    "title": row.title,
                    "collapsed": False,
                    "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
                    "panels": [],
                }
            )
            y += 1
            x = height = 0
            for panel in row.panels:
                if x + panel.width > 24:
                    x, y, height = 0, y + height, 0
                number += 1
                panels.append(panel.json(number, x, y))
                x, height = x + panel.width, max(height, panel.height)
            y += height
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["data-sanitizer"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": self.refresh,
            "time": {"from": self.since, "to": "now"},
            "timepicker": {},
            "fiscalYearStartMonth": 0,
            "weekStart": "",
            "annotations": {"list": [restarts()]},
            "links": [
                {
                    "type": "dashboards",
                    "title": "Data Sanitizer",
                    "tags": ["data-sanitizer"],
                    "asDropdown": True,
                    "includeVars": True,
                    "keepTime": True,
                    "targetBlank": False,
                    "icon": "external link",
                    "tooltip": "",
                    "url": "",
                }
            ],
            "templating": {"list": [datasource_variable()] + [tenant_variable()] * self.by_tenant},
            "panels": panels,
        }


def restarts():
    """Vertical lines where a scheduler began: what jumps there has a reason."""
    return {
        "name": "Scheduler started",
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": "changes(process_start_time_seconds[2m]) > 0 and on (job, instance) data_sanitizer_database_up",
        "titleFormat": "started",
        "textFormat": "{{instance}}",
        "step": "1m",
    }


def datasource_variable():
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
    }


def tenant_variable():
    query = "label_values(data_sanitizer_jobs_finished_total, tenant)"
    return {
        "name": "tenant",
        "label": "Tenant",
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": "tenants"},
        # All of them, whatever their names are.
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"], "selected": True},
        "hide": 0,
        "includeAll": True,
        "multi": True,
        "options": [],
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
    }


# How queries are written.


def name(metric):
    return f"data_sanitizer_{metric}"


def rate(metric, by="", labels=""):
    """Per second, summed over what is not named."""
    return summed("rate", metric, by, labels, "$__rate_interval")


def increase(metric, by="", labels="", window="$__range"):
    """Over the time shown, summed over what is not named."""
    return summed("increase", metric, by, labels, window)


def summed(function, metric, by, labels, window):
    selector = f"{name(metric)}{{{labels}}}" if labels else name(metric)
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} ({function}({selector}[{window}]))"


def shared(metric, by="", labels=""):
    """What all processes of one database tell alike: the largest figure."""
    selector = f"{name(metric)}{{{labels}}}" if labels else name(metric)
    return f"max by ({by}) ({selector})" if by else f"max({selector})"


def quantile(share, metric, by="", labels=""):
    selector = f"{name(metric)}_bucket{{{labels}}}" if labels else f"{name(metric)}_bucket"
    labels_kept = ", ".join(["le", *([by] if by else [])])
    return f"histogram_quantile({share}, sum by ({labels_kept}) (rate({selector}[$__rate_interval])))"


def quantiles(metric, labels=""):
    return [(quantile(share, metric, labels=labels), f"p{round(share * 100)}") for share in (0.5, 0.95, 0.99)]


def of_process(metric, function=""):
    """A figure that all programs have, of ours alone."""
    value = f"{function}({metric}[$__rate_interval])" if function else metric
    return f"{value} and on (job, instance) data_sanitizer_build_info"


TENANT = 'tenant=~"$tenant"'


operations = Dashboard(
    "operations",
    "data-sanitizer-operations",
    "Data Sanitizer / Operations",
    "What runs, how fast, and what stands in its way.",
    [
        Row(
            "Now",
            [
                Panel(
                    "Jobs that succeed",
                    "Share of the jobs of the last hour that did not fail through the service. "
                    "No value: there was no job.",
                    [("1 - data_sanitizer:service_failure_ratio:rate1h", "")],
                    "percentunit",
                    "stat",
                    4,
                    4,
                    falling(0.99, 0.999),
                    maximum=1,
                    decimals=2,
                ),
                Panel(
                    "Jobs that wait",
                    "Jobs in the queue, of all tenants.",
                    [(shared("jobs", labels='status="queued"'), "")],
                    "short",
                    "stat",
                    3,
                    4,
                    rising(100, 1000),
                ),
                Panel(
                    "Oldest job that waits",
                    "How long it has been in the queue. Alert: QueueOld.",
                    [(shared("queue_oldest_seconds"), "")],
                    "s",
                    "stat",
                    3,
                    4,
                    rising(300, 600),
                ),
                Panel(
                    "Jobs that run",
                    "Jobs that workers have, of all tenants.",
                    [('sum(max by (status) (data_sanitizer_jobs{status=~"pass1_running|pass2_running"}))', "")],
                    "short",
                    "stat",
                    3,
                    4,
                ),
                Panel(
                    "Rows a second",
                    "Rows of the sources of published jobs, in the mean of an hour. "
                    "10 million an hour are 2,778 a second.",
                    [(increase("rows_processed_total", labels=TENANT, window="1h") + " / 3600", "")],
                    "rowsps",
                    "stat",
                    3,
                    4,
                ),
                Panel(
                    "Executors",
                    "Executors that the scheduler knows to live. Nothing on a single machine.",
                    [(shared("executors"), "")],
                    "short",
                    "stat",
                    3,
                    4,
                    [(None, RED), (1, GREEN)],
                ),
                Panel(
                    "Database",
                    "Whether the metadata database answers all processes. Alert: DatabaseDown.",
                    [("min(data_sanitizer_database_up)", "")],
                    "short",
                    "stat",
                    2,
                    4,
                    [(None, RED), (1, GREEN)],
                    words={0: ("down", RED), 1: ("up", GREEN)},
                ),
                Panel(
                    "Audit log",
                    "Whether every record of the audit log matches the one behind it. Alert: AuditChainBroken.",
                    [("min(data_sanitizer_audit_chain_intact)", "")],
                    "short",
                    "stat",
                    3,
                    4,
                    [(None, RED), (1, GREEN)],
                    words={0: ("broken", RED), 1: ("intact", GREEN)},
                ),
            ],
        ),
        Row(
            "Jobs",
            [
                Panel(
                    "Rows a second",
                    "Rows read, kept, taken out and set aside by published jobs. A job counts when it is published, "
                    "so large jobs are peaks.",
                    [
                        (rate("rows_processed_total", labels=TENANT), "read"),
                        (rate("rows_cleaned_total", labels=TENANT), "kept"),
                        (rate("rows_removed_total", labels=TENANT), "taken out"),
                        (rate("rows_quarantined_total", labels=TENANT), "set aside"),
                    ],
                    "rowsps",
                ),
                Panel(
                    "Jobs by state",
                    "All jobs that have not ended. pending: the upload is not complete yet.",
                    [(shared("jobs", "status"), "{{status}}")],
                    stacked=True,
                ),
                Panel(
                    "Age of the queue",
                    "How long the oldest job has waited. Those of tenants at their limit count too.",
                    [
                        (shared("queue_oldest_seconds"), "oldest job"),
                        ("data_sanitizer:queue_age_objective_seconds", "limit"),
                    ],
                    "s",
                ),
                Panel(
                    "Wait",
                    "From submission until a worker takes the job for the first time.",
                    quantiles("job_wait_seconds"),
                    "s",
                ),
                Panel(
                    "Duration",
                    "From then until publication, with all attempts and the pauses between them.",
                    quantiles("job_duration_seconds"),
                    "s",
                ),
                Panel(
                    "Passes, p95",
                    "Time that attempts take to learn (pass1) and to write (pass2), by how they ended.",
                    [(quantile(0.95, "worker_processing_time_seconds", "pass, status"), "{{pass}} {{status}}")],
                    "s",
                ),
                Panel(
                    "Jobs that end, per minute",
                    "By outcome.",
                    [("60 * " + rate("jobs_finished_total", "outcome", TENANT), "{{outcome}}")],
                    stacked=True,
                ),
                Panel(
                    "Failures by kind, per minute",
                    "invalid, not_found and refused are the user's: a wrong spec, a missing source, data that breaks "
                    "a rule. The service answers for all others.",
                    [("60 * " + rate("job_failures_total", "kind"), "{{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Attempts by outcome, per minute",
                    "failed attempts are made again where that may help; lost: the worker died; released: it went and "
                    "gave the job back.",
                    [("60 * " + rate("job_attempts_total", "outcome"), "{{outcome}}")],
                    stacked=True,
                ),
                Panel(
                    "Slots",
                    "Jobs that each process works on, and how many it may.",
                    [
                        (shared("jobs_running", "instance"), "{{instance}} running"),
                        (shared("job_slots", "instance"), "{{instance}} slots"),
                    ],
                ),
                Panel(
                    "Busy workers",
                    "Workers that have a job, in the mean: what costs are computed from.",
                    [(rate("worker_busy_seconds_total"), "workers")],
                ),
                Panel(
                    "Lost leases and refused writes, in 5 minutes",
                    "Workers that could not prolong their lease, and writes that came after somebody else had the job. "
                    "Harmless one by one; many say that the database is slow or that processes stand still.",
                    [
                        (increase("leases_lost_total", window="5m"), "leases lost"),
                        (increase("fenced_writes_total", window="5m"), "writes refused"),
                        (increase("job_attempts_total", labels='outcome="lost"', window="5m"), "attempts lost"),
                    ],
                ),
            ],
        ),
        Row(
            "API",
            [
                Panel(
                    "Requests a second, by endpoint",
                    "All answers, errors too.",
                    [(rate("api_request_duration_seconds_count", "method, endpoint"), "{{method}} {{endpoint}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Latency p95, by endpoint",
                    "Uploads, downloads and streams of events last as long as their data.",
                    [
                        (
                            quantile(0.95, "api_request_duration_seconds", "method, endpoint"),
                            "{{method}} {{endpoint}}",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "Errors a second, by type",
                    "The last part of the problem's type. rate, queue-full and quota-spent: a tenant met a limit.",
                    [(rate("api_errors_total", "error_type"), "{{error_type}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Errors a second, by endpoint",
                    "Refused and failed requests.",
                    [(rate("api_errors_total", "method, endpoint"), "{{method}} {{endpoint}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Share of 5xx",
                    "Requests that failed through the service. Alerts: ApiErrors, ApiErrorRate.",
                    [("data_sanitizer:api_error_ratio:rate5m", "5xx")],
                    "percentunit",
                    thresholds=rising(0.01, 0.05),
                ),
                Panel(
                    "Requests in flight",
                    "Requests that are being answered, by process.",
                    [(shared("api_requests_in_flight", "instance"), "{{instance}}")],
                ),
            ],
        ),
        Row(
            "Cluster",
            [
                Panel(
                    "Executors",
                    "Executors that the scheduler knows to live. Alerts: NoExecutors, ExecutorsLost.",
                    [(shared("executors"), "executors")],
                ),
                Panel(
                    "Tasks that run",
                    "By executor.",
                    [(shared("tasks_running", "instance"), "{{instance}}")],
                    stacked=True,
                ),
                Panel(
                    "Tasks a second, by outcome",
                    "A failed task is done again, elsewhere, four times in all.",
                    [(rate("tasks_total", "outcome"), "{{outcome}}")],
                    "ops",
                    stacked=True,
                ),
                Panel("Task duration", "Of one split in one pass.", quantiles("task_duration_seconds"), "s"),
                Panel("Tasks that wait", "For a free slot of an executor.", [(shared("tasks_pending", "instance"), "tasks")]),
                Panel(
                    "Duration of Ballista's jobs",
                    "Each pass of a job is one.",
                    quantiles("cluster_job_duration_seconds"),
                    "s",
                ),
                Panel(
                    "Duration of stages",
                    "From the first task of a stage that was sent out to the last one that ended.",
                    quantiles("cluster_stage_duration_seconds"),
                    "s",
                ),
                Panel(
                    "Ballista's jobs, per minute",
                    "Each pass of a job is one.",
                    [("60 * " + rate("cluster_jobs_total", "outcome"), "{{outcome}}")],
                    stacked=True,
                ),
                Panel(
                    "Shuffle, bytes",
                    "What executors write for each other: hashes of rows, and records of rows that may be near "
                    "duplicates.",
                    [(rate("shuffle_written_bytes_total", "instance"), "{{instance}}")],
                    "Bps",
                    stacked=True,
                ),
                Panel(
                    "Shuffle, rows",
                    "As rows.",
                    [(rate("shuffle_written_rows_total", "instance"), "{{instance}}")],
                    "rowsps",
                    stacked=True,
                ),
            ],
        ),
        Row(
            "Memory and stores",
            [
                Panel(
                    "Memory pool",
                    "Share of the memory for jobs that is given away, by process. Alert: MemoryPoolNearLimit.",
                    [
                        (
                            'max by (instance) (data_sanitizer_memory_pool_bytes{state="reserved"} / ignoring (state) '
                            '(data_sanitizer_memory_pool_bytes{state="limit"} > 0))',
                            "{{instance}}",
                        )
                    ],
                    "percentunit",
                    thresholds=rising(0.75, 0.9),
                    maximum=1,
                ),
                Panel(
                    "Memory pool, bytes",
                    "What is given away, and how much there is.",
                    [
                        (shared("memory_pool_bytes", "instance", 'state="reserved"'), "{{instance}} reserved"),
                        (shared("memory_pool_bytes", "instance", 'state="limit"'), "{{instance}} limit"),
                    ],
                    "bytes",
                ),
                Panel(
                    "Spilled",
                    "Written to disk for want of memory.",
                    [(rate("spilled_bytes_total", "instance"), "{{instance}}")],
                    "Bps",
                    stacked=True,
                ),
                Panel(
                    "Database connections",
                    "Busy and idle ones, and how many there may be. Alert: DatabasePoolExhausted.",
                    [
                        ("sum by (instance, state) (data_sanitizer_database_connections)", "{{instance}} {{state}}"),
                        (shared("database_connections_max", "instance"), "{{instance}} max"),
                    ],
                ),
                Panel(
                    "Database errors, in 5 minutes",
                    "unavailable: no answer, or no connection in time; failed: a statement was refused.",
                    [(increase("database_errors_total", "kind", window="5m"), "{{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Object store, requests a second",
                    "By operation, errors too.",
                    [(rate("object_store_requests_total", "operation"), "{{operation}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Object store, errors",
                    "Share of requests that failed, by operation. Alert: ObjectStoreErrors.",
                    [("data_sanitizer:object_store_error_ratio:rate5m", "{{operation}}")],
                    "percentunit",
                    thresholds=rising(0.01, 0.05),
                ),
                Panel(
                    "Object store, tried again",
                    "Requests a second that were put off (throttled), failed, or had no answer, so that the client tried again.",
                    [(rate("object_store_retries_total", "reason"), "{{reason}}")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Object store, latency p95",
                    "By operation.",
                    [(quantile(0.95, "object_store_request_duration_seconds", "operation"), "{{operation}}")],
                    "s",
                ),
                Panel(
                    "Object store, bytes",
                    "Read and written by all processes.",
                    [(rate("object_store_bytes_total", "direction"), "{{direction}}")],
                    "Bps",
                ),
            ],
        ),
        Row(
            "Flight SQL",
            [
                Panel(
                    "Sessions",
                    "Clients that are connected, by process.",
                    [(shared("flight_sql_sessions", "instance"), "{{instance}}")],
                    width=12,
                    height=6,
                ),
                Panel(
                    "Statements a second",
                    "By outcome.",
                    [(rate("flight_sql_statements_total", "outcome"), "{{outcome}}")],
                    "ops",
                    width=12,
                    height=6,
                    stacked=True,
                ),
            ],
        ),
        Row(
            "Processes",
            [
                Panel(
                    "Processor",
                    "Cores in use, by process.",
                    [(of_process("process_cpu_seconds_total", "rate"), "{{instance}}")],
                ),
                Panel(
                    "Memory",
                    "Resident, by process.",
                    [(of_process("process_resident_memory_bytes"), "{{instance}}")],
                    "bytes",
                ),
                Panel(
                    "Open files",
                    "File descriptors, by process. They must not grow without end.",
                    [(of_process("process_open_fds"), "{{instance}}")],
                ),
                Panel(
                    "Versions",
                    "All must be the same: plans travel between them.",
                    [("max by (version, job, instance) (data_sanitizer_build_info)", "")],
                    "short",
                    "table",
                    12,
                    8,
                    columns={"job": "job", "instance": "process", "version": "version", "Value": "runs"},
                ),
                Panel(
                    "Up for",
                    "Time since each process began. Alert: ProcessRestarts.",
                    [("time() - " + of_process("process_start_time_seconds"), "{{instance}}")],
                    "s",
                    width=12,
                ),
            ],
        ),
    ],
)


def per_range(metric, labels=TENANT):
    return increase(metric, labels=labels)


# Nothing was set aside: the counter is not there yet.
QUARANTINE = f"({per_range('rows_quarantined_total')} or vector(0)) / ({per_range('rows_processed_total')} > 0)"


def decisions(decision):
    return increase("review_decisions_total", labels=f'decision="{decision}", {TENANT}')


business = Dashboard(
    "business",
    "data-sanitizer-business",
    "Data Sanitizer / Business",
    "What was cleaned, what was found, and what it cost. Figures are of published jobs, over the time shown.",
    [
        Row(
            "In the time shown",
            [
                Panel(
                    "Cost of a gigabyte",
                    "Hours of workers times their price, by 10^9 bytes of sources; of all tenants. Price and budget "
                    "are settings of the rules.",
                    [
                        (
                            "scalar(data_sanitizer:price_per_worker_hour) * "
                            + increase("worker_busy_seconds_total")
                            + f" / 3600 / ({increase('source_bytes_total')} / 1e9 > 0)",
                            "",
                        )
                    ],
                    "currencyUSD",
                    "stat",
                    4,
                    4,
                    rising(0.08, 0.10),
                    decimals=3,
                ),
                Panel(
                    "Cost",
                    "Hours of workers times their price; of all tenants.",
                    [
                        (
                            "scalar(data_sanitizer:price_per_worker_hour) * "
                            + increase("worker_busy_seconds_total")
                            + " / 3600",
                            "",
                        )
                    ],
                    "currencyUSD",
                    "stat",
                    4,
                    4,
                    decimals=2,
                ),
                Panel("Read", "Bytes of the sources.", [(per_range("source_bytes_total"), "")], "decbytes", "stat", 4, 4),
                Panel("Written", "Bytes of the outputs.", [(per_range("output_bytes_total"), "")], "decbytes", "stat", 4, 4),
                Panel("Rows read", "Rows of the sources.", [(per_range("rows_processed_total"), "")], "short", "stat", 4, 4),
                Panel("Rows kept", "Rows of the outputs.", [(per_range("rows_cleaned_total"), "")], "short", "stat", 4, 4),
                Panel(
                    "Duplicates, exact",
                    "Rows that are equal to another one.",
                    [(per_range("duplicates_flagged_total", f'kind="exact", {TENANT}'), "")],
                    "short",
                    "stat",
                    4,
                    4,
                ),
                Panel(
                    "Duplicates, near",
                    "Rows of a thing that another row stands for.",
                    [(per_range("duplicates_flagged_total", f'kind="near", {TENANT}'), "")],
                    "short",
                    "stat",
                    4,
                    4,
                ),
                Panel(
                    "Cells filled",
                    "Missing values that were imputed.",
                    [(per_range("imputations_applied_total"), "")],
                    "short",
                    "stat",
                    4,
                    4,
                ),
                Panel("Cells changed", "By all steps.", [(per_range("cells_modified_total"), "")], "short", "stat", 4, 4),
                Panel(
                    "Set aside",
                    "Share of rows in quarantine. Alert, by tenant: QuarantineShareHigh.",
                    [(QUARANTINE, "")],
                    "percentunit",
                    "stat",
                    4,
                    4,
                    rising(0.05, 0.20),
                    maximum=1,
                    decimals=2,
                ),
                Panel(
                    "Precision of fixes",
                    "Approved fixes by all that people decided on. Below 95 % more than one in twenty is wrong. "
                    "People look at doubtful fixes first, so all fixes together are better than this.",
                    [
                        (
                            f"({decisions('approve')} or vector(0)) / ({increase('review_decisions_total', labels=TENANT)} > 0)",
                            "",
                        )
                    ],
                    "percentunit",
                    "stat",
                    4,
                    4,
                    falling(0.90, 0.95),
                    maximum=1,
                    decimals=1,
                ),
            ],
        ),
        Row(
            "Over time",
            [
                Panel(
                    "Cost of a gigabyte, over 6 hours",
                    "No value where less than a gigabyte was read. Alert: CostOverBudget.",
                    [
                        ("data_sanitizer:cost_per_gigabyte:6h", "cost"),
                        ("data_sanitizer:budget_per_gigabyte", "budget"),
                    ],
                    "currencyUSD",
                    decimals=3,
                ),
                Panel(
                    "Gigabytes an hour",
                    "Bytes of sources and outputs.",
                    [
                        (increase("source_bytes_total", labels=TENANT, window="1h"), "read"),
                        (increase("output_bytes_total", labels=TENANT, window="1h"), "written"),
                    ],
                    "decbytes",
                ),
                Panel(
                    "Rows an hour",
                    "10 million an hour are what a standard cluster must do.",
                    [
                        (increase("rows_processed_total", labels=TENANT, window="1h"), "read"),
                        (increase("rows_cleaned_total", labels=TENANT, window="1h"), "kept"),
                    ],
                ),
                Panel(
                    "Duplicates an hour",
                    "Flagged rows, by kind.",
                    [(increase("duplicates_flagged_total", "kind", TENANT, "1h"), "{{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Rows taken out an hour, by step",
                    "Rows that are not in the output.",
                    [(increase("rows_removed_total", "step", TENANT, "1h"), "{{step}}")],
                    stacked=True,
                ),
                Panel(
                    "Rows set aside an hour, by tenant",
                    "Rows in quarantine.",
                    [(increase("rows_quarantined_total", "tenant", TENANT, "1h"), "{{tenant}}")],
                    stacked=True,
                ),
                Panel(
                    "Cells changed an hour, by step",
                    "Cells that differ from the source.",
                    [(increase("cells_modified_total", "step", TENANT, "1h"), "{{step}}")],
                    stacked=True,
                ),
                Panel(
                    "Doubtful fixes",
                    "Share of changed cells with a confidence below 1: what people should look at.",
                    [
                        (
                            increase("low_confidence_fixes_total", labels=TENANT, window="1h")
                            + f" / ({increase('cells_modified_total', labels=TENANT, window='1h')} > 0)",
                            "doubtful",
                        )
                    ],
                    "percentunit",
                ),
                Panel(
                    "Decisions an hour",
                    "What people decided on fixes.",
                    [(increase("review_decisions_total", "decision", TENANT, "1h"), "{{decision}}")],
                    stacked=True,
                ),
            ],
        ),
        Row(
            "By tenant",
            [
                Panel(
                    "Tenants",
                    "Over the time shown. Of the tenants behind the first hundred names, together: other.",
                    [
                        (increase("jobs_finished_total", "tenant", f'outcome="success", {TENANT}'), ""),
                        (increase("rows_processed_total", "tenant", TENANT), ""),
                        (increase("rows_cleaned_total", "tenant", TENANT), ""),
                        (increase("source_bytes_total", "tenant", TENANT) + " / 1e9", ""),
                        (increase("duplicates_flagged_total", "tenant", TENANT), ""),
                        (increase("imputations_applied_total", "tenant", TENANT), ""),
                        (increase("cells_modified_total", "tenant", TENANT), ""),
                    ],
                    "short",
                    "table",
                    24,
                    10,
                    columns={
                        "tenant": "tenant",
                        "Value #A": "jobs",
                        "Value #B": "rows read",
                        "Value #C": "rows kept",
                        "Value #D": "GB read",
                        "Value #E": "duplicates",
                        "Value #F": "cells filled",
                        "Value #G": "cells changed",
                    },
                    decimals=1,
                ),
                Panel(
                    "Rows an hour",
                    "Rows of sources. Sums over them say who uses the cluster.",
                    [(increase("rows_processed_total", "tenant", TENANT, "1h"), "{{tenant}}")],
                    stacked=True,
                ),
                Panel(
                    "Set aside",
                    "Share of rows in quarantine, over the time shown.",
                    [
                        (
                            f"{increase('rows_quarantined_total', 'tenant', TENANT)} / "
                            f"({increase('rows_processed_total', 'tenant', TENANT)} > 0)",
                            "{{tenant}}",
                        )
                    ],
                    "percentunit",
                    "bargauge",
                    thresholds=rising(0.05, 0.20),
                    maximum=1,
                ),
                Panel(
                    "Precision of fixes",
                    "Approved fixes by all that people decided on, over the time shown.",
                    [
                        (
                            increase("review_decisions_total", "tenant", f'decision="approve", {TENANT}')
                            + f" / ({increase('review_decisions_total', 'tenant', TENANT)} > 0)",
                            "{{tenant}}",
                        )
                    ],
                    "percentunit",
                    "bargauge",
                    thresholds=falling(0.90, 0.95),
                    maximum=1,
                ),
                Panel(
                    "Jobs that end, by outcome",
                    "Over the time shown.",
                    [(increase("jobs_finished_total", "tenant, outcome", TENANT), "{{tenant}} {{outcome}}")],
                    "short",
                    "bargauge",
                    12,
                ),
                Panel(
                    "Bytes an hour",
                    "Bytes of sources.",
                    [(increase("source_bytes_total", "tenant", TENANT, "1h"), "{{tenant}}")],
                    "decbytes",
                    width=12,
                    stacked=True,
                ),
            ],
        ),
    ],
    since="now-24h",
    refresh="1m",
)


def burn_rate(window):
    return f"data_sanitizer:service_failure_ratio:rate{window} / (1 - scalar(data_sanitizer:success_objective))"


slo = Dashboard(
    "slo",
    "data-sanitizer-slo",
    "Data Sanitizer / Objectives",
    "What was promised, and how much of it is kept. Failures that the user answers for count nowhere here.",
    [
        Row(
            "Now",
            [
                Panel(
                    "Jobs that succeed, 30 days",
                    "The objective is 99.9 %, unless the settings of the rules say otherwise.",
                    [("1 - data_sanitizer:service_failure_ratio:rate30d", "")],
                    "percentunit",
                    "stat",
                    4,
                    5,
                    falling(0.998, 0.999),
                    maximum=1,
                    decimals=3,
                ),
                Panel(
                    "Error budget left",
                    "Share of the failures that 30 days may have. Below 0 the objective is missed.",
                    [("data_sanitizer:error_budget_left:30d", "")],
                    "percentunit",
                    "stat",
                    4,
                    5,
                    falling(0, 0.25),
                    minimum=None,
                    decimals=1,
                ),
                Panel(
                    "Burn rate, 1 hour",
                    "1: the budget lasts exactly for 30 days. From 14.4 on somebody is woken.",
                    [(burn_rate("1h"), "")],
                    "short",
                    "stat",
                    4,
                    5,
                    rising(1, 14.4),
                    decimals=1,
                ),
                Panel(
                    "Wait and run, p95",
                    "The objective is 5 minutes. Alert: JobLatencyHigh.",
                    [("data_sanitizer:job_seconds:p95_15m", "")],
                    "s",
                    "stat",
                    4,
                    5,
                    rising(240, 300),
                    decimals=1,
                ),
                Panel(
                    "Status calls, p95",
                    "The objective is 2 seconds. Alert: StatusCallsSlow.",
                    [("data_sanitizer:status_call_seconds:p95_5m", "")],
                    "s",
                    "stat",
                    4,
                    5,
                    rising(1, 2),
                    decimals=3,
                ),
                Panel(
                    "Alerts",
                    "Alerts of the service that fire.",
                    [('count(ALERTS{alertstate="firing", service="data-sanitizer"}) or vector(0)', "")],
                    "short",
                    "stat",
                    4,
                    5,
                    [(None, GREEN), (1, RED)],
                ),
            ],
        ),
        Row(
            "Success",
            [
                Panel(
                    "Failures through the service",
                    "Share of jobs, by window. The objective holds for 30 days.",
                    [
                        ("data_sanitizer:service_failure_ratio:rate1h", "1 hour"),
                        ("data_sanitizer:service_failure_ratio:rate1d", "1 day"),
                        ("data_sanitizer:service_failure_ratio:rate30d", "30 days"),
                        ("1 - data_sanitizer:success_objective", "objective"),
                    ],
                    "percentunit",
                ),
                Panel(
                    "Error budget left",
                    "Of 30 days.",
                    [("data_sanitizer:error_budget_left:30d", "left")],
                    "percentunit",
                    thresholds=falling(0, 0.25),
                    minimum=None,
                    maximum=1,
                ),
                Panel(
                    "Burn rates",
                    "How many times faster than allowed the budget is spent. Alerts: 14.4 over 1 hour and 5 minutes, 6 "
                    "over 6 hours and 30 minutes, 3 over 1 day and 2 hours, 1 over 3 days and 6 hours.",
                    [(burn_rate(window), window) for window in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")],
                    thresholds=rising(6, 14.4),
                ),
                Panel(
                    "Failures through the service, in an hour",
                    "By kind. unavailable: a store or an executor did not answer, three times; exhausted: memory, disk "
                    "or time; conflict: somebody had the place; late: the deadline passed; bug: our mistake.",
                    [(increase("job_failures_total", "kind", f'kind=~"{SERVICE_KINDS}"', "1h"), "{{kind}}")],
                    stacked=True,
                ),
                Panel(
                    "Failures of any kind",
                    "Share of jobs in 5 minutes. Alerts: JobFailureRate, JobFailureRateOfAnyKind.",
                    [
                        ("data_sanitizer:service_failure_ratio:rate5m", "the service's"),
                        ("data_sanitizer:job_failure_ratio:rate5m", "all"),
                    ],
                    "percentunit",
                    thresholds=[(None, GREEN), (0.05, RED)],
                ),
                Panel(
                    "API answers without 5xx",
                    "Share of requests in 5 minutes.",
                    [("1 - data_sanitizer:api_error_ratio:rate5m", "answered")],
                    "percentunit",
                    thresholds=falling(0.95, 0.99),
                    minimum=None,
                    maximum=1,
                ),
            ],
        ),
        Row(
            "Latency",
            [
                Panel(
                    "Wait and run, p95",
                    "Of jobs of 15 minutes, whatever their size: the sum of both quantiles.",
                    [
                        ("data_sanitizer:job_seconds:p95_15m", "p95"),
                        ("data_sanitizer:job_latency_objective_seconds", "objective"),
                    ],
                    "s",
                ),
                Panel(
                    "A million rows",
                    "Time in the mean, of jobs that have 100,000 rows or more in the mean. "
                    "Alert: JobsSlowPerMillionRows.",
                    [
                        ("data_sanitizer:seconds_per_million_rows:rate15m", "mean"),
                        ("data_sanitizer:job_latency_objective_seconds", "objective"),
                    ],
                    "s",
                ),
                Panel(
                    "Status calls, p95",
                    "GET /api/v1/jobs/JOB.",
                    [
                        ("data_sanitizer:status_call_seconds:p95_5m", "p95"),
                        ("data_sanitizer:status_call_objective_seconds", "objective"),
                    ],
                    "s",
                ),
            ],
        ),
        Row(
            "Money and alerts",
            [
                Panel(
                    "Cost of a gigabyte, over 6 hours",
                    "Price and budget are settings of the rules. Alert: CostOverBudget.",
                    [
                        ("data_sanitizer:cost_per_gigabyte:6h", "cost"),
                        ("data_sanitizer:budget_per_gigabyte", "budget"),
                    ],
                    "currencyUSD",
                    decimals=3,
                ),
                Panel(
                    "Alerts that fire",
                    "Red while an alert fires. What to do: docs/runbook.md.",
                    [
                        (
                            'max by (alertname, severity) (ALERTS{alertstate="firing", service="data-sanitizer"})',
                            "{{alertname}} ({{severity}})",
                        )
                    ],
                    "short",
                    "state-timeline",
                    16,
                    thresholds=[(None, GREEN), (1, RED)],
                    words={1: ("fires", RED)},
                ),
            ],
        ),
    ],
    since="now-7d",
    refresh="1m",
    by_tenant=False,
)

DASHBOARDS = [operations, business, slo]


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    stale = []
    for dashboard in DASHBOARDS:
        file = FOLDER / f"{dashboard.name}.json"
        text = json.dumps(dashboard.json(), indent=2, ensure_ascii=False) + "\n"
        if not arguments:
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(file.name)
    # One that nobody makes any more would be delivered for ever.
    known = {f"{dashboard.name}.json" for dashboard in DASHBOARDS}
    stale += [file.name for file in FOLDER.glob("*.json") if file.name not in known]
    for name_ in stale:
        print(f"{name_} is not what dashboards.py makes; run it without --check", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
