/**
 * Each folder of test/scenarios/codebuild is a source with a buildspec, and `expected.yml` says what its build must come to, or its builds one
 * after the other. Beside the source may lie `setup.sh`, run inside the machine where the source was put, as if it had been cloned so, and
 * `image/`, which is /codebuild/image of the build's image.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { hostTools } from '../../src/devtools/codebuild/engine/host-tools.ts';
import { type CacheKeys, cacheSelections } from '../../src/devtools/codebuild/runner/caching.ts';
import { packSelected } from '../../src/devtools/codebuild/runner/collect.ts';
import { readReport } from '../../src/devtools/codebuild/reports/read-report.ts';
import { packFiles } from '../../src/devtools/codebuild/runner/files.ts';
import { runTool } from '../../src/devtools/codebuild/runner/machine-tools.ts';
import { BuildLog } from '../../src/devtools/codebuild/runner/log.ts';
import { BuildInterrupt, type PhaseContext, type PhaseOutcome, type PhaseType } from '../../src/devtools/codebuild/runner/outcome.ts';
import { runBuild } from '../../src/devtools/codebuild/runner/run-build.ts';
import type { EnvironmentVariable } from '../../src/devtools/codebuild/runner/secrets.ts';
import { AwsError } from '../../src/platform/errors.ts';
import type { World } from '../../src/devtools/codebuild/runner/world.ts';
import { drain, forEachEntry } from '../../src/devtools/codebuild/runner/zip.ts';
import { archive, unpack } from '../../src/devtools/codebuild/storage/cache-archive.ts';
import { newMachine, noSandbox, type TestDriver } from '../support/machine.ts';

interface Expected extends Outcome {
  /** Tools that must be on the host, such as `go`. */
  needs?: string[];
  /** What is slow and the same on each kind of machine is built on one. */
  once?: boolean;
  /** Several builds of this source, one after the other, with a common cache; what one does not say is said above. */
  builds?: Partial<Outcome>[];
}

interface Outcome {
  options?: {
    artifacts?: boolean;
    secondary?: string[];
    cache?: boolean;
    buildspec?: string;
    variables?: EnvironmentVariable[];
    /** The users are told apart only there, and only if the tests run as root. */
    sandboxAsRoot?: boolean;
    /** What Parameter Store and Secrets Manager hold. */
    parameters?: Record<string, string>;
    secrets?: Record<string, string>;
    interrupt?: { at: string; status: 'STOPPED' | 'TIMED_OUT' };
  };
  status: string;
  /** `entered`: begun, its end is the caller's. */
  phases?: Record<string, string>;
  absent?: string[];
  /** A message in slashes is a regular expression. */
  contexts?: Record<string, PhaseContext>;
  /** Regular expressions that match lines in this order. */
  log?: string[];
  notLog?: string[];
  artifacts?: Record<string, Record<string, string>>;
  artifactNames?: Record<string, string>;
  exported?: unknown;
  retry?: unknown;
  cache?: unknown;
  /** By group: files and how many cases there are of each status. */
  reports?: Record<string, unknown>;
}

const unavailable = { process: undefined, sandbox: await noSandbox() };
const folder = path.join(import.meta.dirname, 'codebuild');
/** As builds of the server have them. */
const tools = hostTools('/nonexistent');

for (const driver of ['process', 'sandbox'] as const) {
  describe(`builds on a ${driver} machine`, { skip: unavailable[driver] ?? false, concurrency: availableParallelism() * 2 }, () => {
    for (const name of readdirSync(folder).sort()) {
      const source = path.join(folder, name);
      const expected = parse(readFileSync(path.join(source, 'expected.yml'), 'utf8')) as Expected;
      test(name, { skip: whyNot(driver, source, expected) ?? false }, async () => {
        const caches = await mkdtemp(path.join(tmpdir(), 'penstock-caches-'));
        try {
          for (const one of expected.builds ?? [{}]) {
            const outcome = { ...expected, ...one };
            check(outcome, await build(driver, source, outcome.options ?? {}, caches));
          }
        } finally {
          await rm(caches, { recursive: true });
        }
      });
    }
  });
}

function whyNot(driver: TestDriver, source: string, { options, once, needs = [] }: Expected): string | undefined {
  if (once && driver === 'process' && !unavailable.sandbox) return 'runs in the sandbox';
  const missing = needs.filter((tool) => !isThere(tool));
  if (missing.length > 0) return `needs ${missing.join(', ')}`;
  if (options?.sandboxAsRoot && !(driver === 'sandbox' && process.getuid?.() === 0)) return 'needs a sandbox and root';
  if (existsSync(path.join(source, 'image')) && driver !== 'sandbox') return 'needs a file system of its own';
  return undefined;
}

function isThere(tool: string): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', tool], { env: { PATH: tools.path } });
    return true;
  } catch {
    return false;
  }
}

async function build(driver: TestDriver, source: string, options: NonNullable<Outcome['options']>, caches: string) {
  const image = path.join(source, 'image');
  const ofImage = existsSync(image) ? [{ source: image, target: '/codebuild/image', readOnly: true }] : [];
  const mounts = driver === 'sandbox' ? [...tools.mounts, ...ofImage] : [];
  const machine = await newMachine(driver, { mounts, env: { PATH: tools.path } });
  const abort = new AbortController();
  const log = new BuildLog(
    () => new Date(),
    (error) => assert.fail(error),
  );
  const lines: string[] = [];
  log.addSink(async (events) => {
    lines.push(...events.map((event) => event.message.replace(/\n$/, '')));
    const { interrupt } = options;
    if (interrupt && lines.some((line) => new RegExp(interrupt.at).test(line))) abort.abort(new BuildInterrupt(interrupt.status));
  });
  const world = new MemoryWorld(source, options, caches);
  try {
    const result = await runBuild({
      machine,
      request: {
        buildspec: options.buildspec ? { kind: 'path', path: options.buildspec } : { kind: 'default' },
        env: { CODEBUILD_BUILD_ID: 'scenario:1', CODEBUILD_BUILD_NUMBER: '1' },
        defaults: {},
        variables: options.variables ?? [],
        primaryArtifact: options.artifacts ?? false,
        secondaryArtifacts: options.secondary ?? [],
        cache: options.cache ?? false,
      },
      world,
      log,
      signal: abort.signal,
      graceMs: 100,
    });
    await log.end();
    return { result, world, lines };
  } finally {
    await machine.remove();
  }
}

class MemoryWorld implements World {
  readonly phases = new Map<string, PhaseOutcome | undefined>([['DOWNLOAD_SOURCE', undefined]]);
  readonly artifacts: Record<string, Record<string, string>> = {};
  readonly names: Record<string, string | undefined> = {};
  readonly reports: Record<string, unknown> = {};
  cache: unknown;
  #current: PhaseType = 'DOWNLOAD_SOURCE';
  #directory = '';
  readonly #source: string;
  readonly #caches: string;
  readonly #stored: { parameters?: Record<string, string>; secrets?: Record<string, string> };

  constructor(source: string, stored: { parameters?: Record<string, string>; secrets?: Record<string, string> }, caches: string) {
    this.#source = source;
    this.#caches = caches;
    this.#stored = stored;
  }

  enterPhases: World['enterPhases'] = async (steps) => {
    for (const { phase, outcome } of steps) {
      this.phases.set(this.#current, outcome);
      this.phases.set(phase, undefined);
      this.#current = phase;
    }
  };
  fetchSources: World['fetchSources'] = async (machine, root) => {
    const files: Record<string, Buffer> = {};
    for (const entry of readdirSync(this.#source, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const file = path.join(entry.parentPath, entry.name);
      if (file.startsWith(path.join(this.#source, 'image/'))) continue;
      files[path.relative(this.#source, file)] = readFileSync(file);
    }
    await machine.put(`${root}/src`, packFiles(files));
    if ('setup.sh' in files) {
      const { exitCode, stderr } = await runTool(machine, ['sh', 'setup.sh'], { cwd: `${root}/src` });
      assert.equal(exitCode, 0, stderr);
    }
    this.#directory = `${root}/src`;
    return { directory: this.#directory, env: {} };
  };
  fetchBuildspec = async (): Promise<string> => assert.fail('no buildspec in S3 here');
  fetchParameters: World['fetchParameters'] = async (names) => {
    assert.ok(names.length <= 10, 'more than GetParameters takes');
    const { parameters = {} } = this.#stored;
    return new Map(names.flatMap((name) => (name in parameters ? [[name, parameters[name]!]] : [])));
  };
  fetchSecret: World['fetchSecret'] = async ({ id, versionStage }) => {
    const secret = this.#stored.secrets?.[versionStage === undefined ? id : `${id}:${versionStage}`];
    if (secret === undefined) throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    return secret;
  };
  gitCredentialHelper = async () => ({});
  restoreCache: World['restoreCache'] = async (machine, keys, _paths, log, signal) => {
    const file = this.#archive(keys);
    if (!existsSync(file)) return log.agent('no cache was found');
    await unpack(machine, file, this.#directory, signal);
    log.agent('Restored the cache');
  };
  saveCache: World['saveCache'] = async (machine, { key, fallbackKeys }: CacheKeys, paths, _log, signal) => {
    const selections = await cacheSelections(machine, paths, this.#directory, signal);
    await archive(machine, selections, this.#directory, this.#archive({ key }), signal);
    this.cache = { ...(key === undefined ? {} : { key }), fallbackKeys, files: selections.flatMap((selection) => selection.files) };
  };
  storeReport: World['storeReport'] = async (machine, report, log, signal) => {
    const directory = await mkdtemp(path.join(tmpdir(), 'penstock-report-'));
    try {
      const { parsed, files } = await readReport(machine, report, directory, log, signal);
      const counts = Object.fromEntries(Object.entries(parsed.statusCounts).filter(([, count]) => count > 0));
      this.reports[report.group] = { files: files.map(({ name }) => name).sort(), ...counts };
    } finally {
      await rm(directory, { recursive: true });
    }
  };
  #archive({ key = 'one' }: Pick<CacheKeys, 'key'>): string {
    return path.join(this.#caches, encodeURIComponent(key));
  }
  uploadArtifact: World['uploadArtifact'] = async (machine, artifact) => {
    const files: Record<string, string> = {};
    for (const selection of artifact.selections) {
      const tar = packSelected(machine, selection, { keepLinks: artifact.keepLinks });
      await forEachEntry(tar, async (header, stream) => {
        const name = header.name.replace(/^\.\//, '');
        files[artifact.discardPaths ? path.basename(name) : name] =
          header.type === 'symlink' ? `-> ${header.linkname}` : await read(stream);
        if (header.type === 'symlink') await drain(stream);
      });
    }
    this.artifacts[artifact.identifier ?? 'primary'] = files;
    this.names[artifact.identifier ?? 'primary'] = artifact.name;
  };
}

async function read(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function check(expected: Outcome, { result, world, lines }: Awaited<ReturnType<typeof build>>): void {
  const shown = lines.join('\n');
  assert.equal(result.status, expected.status, shown);
  for (const [phase, status] of Object.entries(expected.phases ?? {})) {
    assert.ok(world.phases.has(phase), `phase ${phase} was entered\n${shown}`);
    assert.equal(world.phases.get(phase)?.status ?? 'entered', status, `${phase}\n${shown}`);
  }
  for (const phase of expected.absent ?? []) assert.ok(!world.phases.has(phase), `phase ${phase} must not be entered`);
  for (const [phase, context] of Object.entries(expected.contexts ?? {})) {
    const [actual] = world.phases.get(phase)?.contexts ?? [];
    assert.equal(actual?.statusCode, context.statusCode, shown);
    const pattern = /^\/(.*)\/$/.exec(context.message)?.[1];
    if (pattern) assert.match(actual?.message ?? '', new RegExp(pattern));
    else assert.equal(actual?.message, context.message);
  }
  let from = 0;
  for (const pattern of expected.log ?? []) {
    const found = lines.findIndex((line, index) => index >= from && new RegExp(pattern).test(line));
    assert.ok(found >= 0, `no line /${pattern}/ after line ${from} of\n${shown}`);
    from = found + 1;
  }
  for (const pattern of expected.notLog ?? []) assert.ok(!lines.some((line) => new RegExp(pattern).test(line)), `a line is /${pattern}/`);
  if (expected.artifacts) assert.deepEqual(world.artifacts, expected.artifacts);
  for (const [artifact, name] of Object.entries(expected.artifactNames ?? {})) assert.equal(world.names[artifact], name);
  if (expected.exported) assert.deepEqual(result.exportedVariables, expected.exported);
  if (expected.retry) assert.deepEqual(result.retry, expected.retry);
  if (expected.cache) assert.deepEqual(world.cache, expected.cache);
  if (expected.reports) assert.deepEqual(world.reports, expected.reports);
}
