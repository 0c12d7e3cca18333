/** The revisions of test/scenarios/appspec, each deployed below an empty root; its README says how they are written. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { before, test } from 'node:test';
import { parse } from 'yaml';
import { type Completion, IN_PLACE_EVENTS, modeOf, startAgent, type TarContent, tarOf, treeOf } from './testing.ts';
import { createSigner, type Signer } from './testing-signer.ts';

interface Expectation {
  deployments?: number;
  before?: Record<string, string>;
  fileExistsBehavior?: string;
  result: 'Succeeded' | { event: string; code: number; message: string };
  files: Record<string, string>;
  modes?: Record<string, string>;
  output?: string[];
}

const SCENARIOS = join(import.meta.dirname, '../../test/scenarios/appspec');
const folders = (await readdir(SCENARIOS, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map((entry) => entry.name);

let signer: Signer;
before(async () => {
  signer = await createSigner();
});

for (const folder of folders.sort()) {
  test(folder, async (t) => {
    const { 'expected.yml': expectation, ...revision } = await treeOf(join(SCENARIOS, folder));
    const expected: Expectation = parse(expectation!);
    const agent = await startAgent(t, signer);
    for (const [path, content] of Object.entries(expected.before ?? {})) {
      await mkdir(dirname(join(agent.root, path)), { recursive: true });
      await writeFile(join(agent.root, path), content);
    }

    agent.server.objects.set('bundles/revision.tar', await tarOf(entriesOf(revision)));
    let reports: Completion[] = [];
    for (let deployment = 1; deployment <= (expected.deployments ?? 1); deployment++) {
      reports = await runEvents(agent, `d-${deployment}`, expected);
    }

    const last = reports.at(-1)!;
    if (expected.result === 'Succeeded') assert.equal(last.status, 'Succeeded', last.diagnostics.message);
    else {
      const { event, code, message } = expected.result;
      assert.equal(IN_PLACE_EVENTS[reports.length - 1], event, last.diagnostics.message);
      assert.equal(last.diagnostics.error_code, code);
      const archive = join(agent.deploymentRoot, 'group-1/d-1/deployment-archive');
      const actual = last.diagnostics.message.replaceAll(archive, 'ARCHIVE').replaceAll(agent.root, 'ROOT');
      if (message.startsWith('/')) assert.match(actual, new RegExp(message.slice(1, -1)));
      else assert.equal(actual, message);
    }
    assert.deepEqual(await treeOf(agent.root), expected.files);
    for (const [path, mode] of Object.entries(expected.modes ?? {})) assert.equal(await modeOf(join(agent.root, path)), mode, path);
    if (expected.output) {
      const log = await readFile(join(agent.deploymentRoot, 'group-1/d-1/logs/scripts.log'), 'utf8');
      assert.deepEqual(
        log
          .trimEnd()
          .split('\n')
          .map((line) => line.slice('2026-11-22 18:07:01 '.length)),
        expected.output,
      );
    }
  });
}

async function runEvents(
  agent: Awaited<ReturnType<typeof startAgent>>,
  deployment: string,
  { fileExistsBehavior }: Expectation,
): Promise<Completion[]> {
  const reports: Completion[] = [];
  for (const event of IN_PLACE_EVENTS) {
    const report = await agent.server.run(event, {
      deployment,
      key: 'revision.tar',
      AllPossibleLifecycleEvents: IN_PLACE_EVENTS,
      ...(fileExistsBehavior && { AgentActionOverrides: { AgentOverrides: { FileExistsBehavior: fileExistsBehavior } } }),
    });
    reports.push(report);
    if (report.status === 'Failed') break;
  }
  return reports;
}

function entriesOf(files: Record<string, string>): [string, TarContent][] {
  return Object.entries(files).map(([name, content]) => {
    if (content.startsWith('-> ')) return [name, { link: content.slice(3) }];
    return [name, name.endsWith('.sh') ? { mode: 0o755, text: content } : content];
  });
}
