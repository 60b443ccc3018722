// Judges custom resources by the schemas of their operators. Standard input: a JSON list of resources; argument: folder of the packages.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const KINDS = {
  Certificate: "@kubernetes-models/cert-manager/cert-manager.io/v1/Certificate",
  Issuer: "@kubernetes-models/cert-manager/cert-manager.io/v1/Issuer",
  ScaledObject: "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject",
  TriggerAuthentication: "@kubernetes-models/keda/keda.sh/v1alpha1/TriggerAuthentication",
  ServiceMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor",
  PodMonitor: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor",
  PrometheusRule: "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
};
const node = process.argv[2];
const resources = JSON.parse(readFileSync(0, "utf8"));
const problems = [];

// Values: patterns, enumerations, types.
for (const resource of resources) {
  const module = KINDS[resource.kind];
  if (!module) {
    problems.push(`no schema for ${resource.kind}`);
    continue;
  }
  const loaded = await import(pathToFileURL(join(node, "node_modules", `${module}.js`)));
  const Model = loaded[resource.kind] ?? loaded.default[resource.kind];
  try {
    new Model(resource).validate();
  } catch (error) {
    problems.push(`${resource.kind} ${resource.metadata.name}: ${error.message}`);
  }
}

// Names of fields: those schemas let unknown ones pass, the types do not.
const folder = mkdtempSync(join(node, "types-"));
try {
  symlinkSync(join(node, "node_modules"), join(folder, "node_modules"));
  const lines = Object.entries(KINDS).map(([kind, module]) => `import type { I${kind} } from "${module}";`);
  resources.filter((resource) => KINDS[resource.kind]).forEach((resource, number) => {
    lines.push(`export const r${number}: I${resource.kind} = ${JSON.stringify(resource)};`);
  });
  writeFileSync(join(folder, "resources.ts"), lines.join("\n"));
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"];
  execFileSync(process.execPath, [join(node, "node_modules/typescript/bin/tsc"), ...flags, join(folder, "resources.ts")], { encoding: "utf8" });
} catch (error) {
  problems.push(`types: ${(error.stdout || String(error)).split("\n").map((line) => line.replace(/^.*error/, "error")).join("\n")}`);
} finally {
  rmSync(folder, { recursive: true });
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  process.exit(1);
}
