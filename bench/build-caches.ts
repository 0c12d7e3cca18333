/**
 * What a cache saves: the same build cold and warm, with its cache on the worker, in S3, and without any.
 *
 *     node_modules/.bin/node bench/build-caches.ts [rounds] [process|sandbox]
 *
 * A Go program that serves HTTP is compiled with its standard library, as it is where nothing is kept; its compiler's cache is what the
 * buildspec keeps. A repository of 100,000 objects is the source of a build that does nothing else. Times are from StartBuild to the end.
 * Medians; cold builds begin after InvalidateProjectCache.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CreateProjectCommandInput } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../src/git/client.ts';
import { type BuildBench, buildBench, commands, zipOf } from '../test/support/codebuild.ts';
import { signGit, withCredentials } from '../test/support/git.ts';
import { startServer, type TestServer } from '../test/support/server.ts';
import { makeLargeRepository } from './support/large-repository.ts';
import { median, ms, type Section, toMarkdown, verdict } from './support/section.ts';

const OBJECTS = 100_000;
type Cache = NonNullable<CreateProjectCommandInput['cache']>;

const PROGRAM = {
  'go.mod': 'module example.com/hello\n\ngo 1.18\n',
  'main.go': `package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	http.ListenAndServe("127.0.0.1:8080", nil)
}
`,
};
const COMPILE = `${commands('export GOCACHE="$HOME/go-build" GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0', 'go build -o hello . && ls -l hello')}cache:
  paths: ['~/go-build/**/*']
`;

export async function benchBuildCaches(rounds: number, machines: string): Promise<Section> {
  await using server = await startServer({ args: ['--machines', machines] });
  const bench = await buildBench(server);
  const rows: string[][] = [];
  const notes = [`${rounds} cold builds and as many warm ones, one after the other, ${machines}.`];
  await bench.s3.putObject({ Bucket: bench.bucket, Key: 'program.zip', Body: await zipOf(PROGRAM) });
  const source = { type: 'S3', location: `${bench.bucket}/program.zip`, buildspec: COMPILE } as const;
  if (hasGo()) {
    const local = { type: 'LOCAL', modes: ['LOCAL_CUSTOM_CACHE'] } satisfies Cache;
    rows.push(await row(bench, rounds, 'a Go program, compiler’s cache on the worker (LOCAL_CUSTOM_CACHE)', { source, cache: local }));
    const s3 = { type: 'S3', location: `${bench.bucket}/caches` } satisfies Cache;
    rows.push(await row(bench, rounds, 'a Go program, compiler’s cache in S3', { source, cache: s3 }));
  } else notes.push('There is no Go on this host, so nothing was compiled.');
  const location = await largeRepository(server);
  const repository = { type: 'CODECOMMIT', location, buildspec: commands('git rev-parse HEAD') } as const;
  const kept = { type: 'LOCAL', modes: ['LOCAL_SOURCE_CACHE'] } satisfies Cache;
  rows.push(
    await row(bench, rounds, `a repository of ${OBJECTS.toLocaleString('en')} objects (LOCAL_SOURCE_CACHE)`, {
      source: repository,
      cache: kept,
    }),
  );
  return {
    title: 'Builds with a cache',
    columns: ['what', 'cold', 'warm', 'slowest warm', 'times faster', 'budget', ''],
    rows,
    notes: [
      ...notes,
      'A cold build pays for storing its cache, too. Limit: one tar of the machine’s, written to and read from the worker’s disk; for S3 compression, encryption and their way through the server besides.',
      'A clone of this repository comes from the same host over loopback, which is the least that a source cache can save.',
    ],
  };
}

async function row(
  bench: BuildBench,
  rounds: number,
  what: string,
  project: Pick<CreateProjectCommandInput, 'source' | 'cache'>,
): Promise<string[]> {
  const name = `bench-${what.replace(/\W+/g, '-')}`.slice(0, 100);
  await bench.project(name, '', project);
  const timed = async (): Promise<number> => {
    const began = performance.now();
    const build = await bench.build(name);
    if (build.buildStatus !== 'SUCCEEDED') throw new Error(`The build ended ${build.buildStatus}: ${await bench.log(build)}`);
    return performance.now() - began;
  };
  const [cold, warm]: number[][] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    await bench.codebuild.invalidateProjectCache({ projectName: name });
    cold!.push(await timed());
    warm!.push(await timed());
  }
  const faster = median(cold!) / median(warm!);
  const cells = [median(cold!), median(warm!), Math.max(...warm!)].map((value) => ms(value, 0));
  return [what, ...cells, `${faster.toFixed(1)}×`, '> 1×', verdict(faster > 1)];
}

function hasGo(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function largeRepository(server: TestServer): Promise<string> {
  await new CodeCommit(server.client).createRepository({ repositoryName: 'large' });
  const home = await mkdtemp(path.join(tmpdir(), 'penstock-bench-'));
  try {
    const bare = path.join(home, 'large.git');
    await makeLargeRepository(bare, OBJECTS);
    await git(bare, ['push', '-q', `${server.endpoint}/v1/repos/large`, 'main'], withCredentials(signGit(server, 'large')));
  } finally {
    await rm(home, { recursive: true, force: true });
  }
  return `https://git-codecommit.${server.region}.amazonaws.com/v1/repos/large`;
}

if (import.meta.main) console.log(toMarkdown(await benchBuildCaches(Number(process.argv[2] ?? 3), process.argv[3] ?? 'sandbox')));
