/** What `deploy/` tells others, as far as it can be checked without them: fields that Kubernetes knows, files that are there, settings that Penstock has. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadAllYaml } from '@kubernetes/client-node';
import { parse, parseAllDocuments } from 'yaml';

const root = path.join(import.meta.dirname, '..');
const folder = path.join(root, 'deploy', 'kubernetes');
const read = (file: string) => readFileSync(file, 'utf8');

test('the manifests have no field that Kubernetes does not know, and the kustomization names all of them', () => {
  const { resources } = parse(read(path.join(folder, 'kustomization.yaml'))) as { resources: string[] };
  assert.deepEqual([...resources, 'kustomization.yaml'].sort(), readdirSync(folder).sort());
  for (const file of resources) {
    const text = read(path.join(folder, file));
    const written = parseAllDocuments(text).map((document) => document.toJS());
    // The client's own reader keeps what its model of the API has.
    assert.deepEqual(JSON.parse(JSON.stringify(loadAllYaml(text))), written, file);
  }
});

test('selectors find the pods that are meant, and Services their ports', () => {
  const objects = ['api.yaml', 'worker.yaml'].flatMap((file) =>
    parseAllDocuments(read(path.join(folder, file))).map((document) => document.toJS()),
  );
  const pods = objects.filter(({ kind }) => kind === 'Deployment' || kind === 'StatefulSet').map(({ spec }) => spec);
  for (const { selector, template } of pods) assert.deepEqual(selector.matchLabels, template.metadata.labels);
  for (const { spec } of objects.filter(({ kind }) => kind === 'Service')) {
    const { template } = pods.find((pod) => JSON.stringify(pod.selector.matchLabels) === JSON.stringify(spec.selector));
    const names = (template.spec.containers[0].ports ?? []).map((port: { name: string }) => port.name);
    for (const { targetPort } of spec.ports ?? []) assert.ok(names.includes(targetPort), targetPort);
  }
});

test('the compose file names volumes and files that are there', () => {
  const file = path.join(root, 'deploy', 'compose', 'compose.yaml');
  const { services, volumes } = parse(read(file), { merge: true });
  for (const service of Object.values<any>(services)) {
    for (const volume of service.volumes ?? []) assert.ok(volume.split(':')[0] in volumes, volume);
    for (const name of Object.keys(service.depends_on ?? {})) assert.ok(services[name]?.healthcheck, name);
    if (service.build) assert.ok(existsSync(path.resolve(path.dirname(file), service.build.context, service.build.dockerfile)));
  }
});

test('every setting is one of Penstock’s', () => {
  const told = globSync('deploy/**/*', { cwd: root, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => read(path.join(entry.parentPath, entry.name)).match(/\bPENSTOCK_[A-Z_]+/g) ?? []);
  const known = globSync('src/**/*.ts', { cwd: root })
    .map((file) => read(path.join(root, file)))
    .join();
  assert.ok(told.length > 10);
  assert.deepEqual(
    [...new Set(told)].filter((name) => !new RegExp(`\\b${name}\\b`).test(known)),
    [],
  );
});
