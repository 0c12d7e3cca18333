/**
 * Runs every bench, or those that are named, one after the other, and writes what they found to bench/RESULTS.md.
 *
 *     npm run bench [-- name…]
 *
 * Only a run of all writes the file; a run of some prints their tables.
 */
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import path from 'node:path';
import { benchApi } from './api.ts';
import { benchBuildCaches } from './build-caches.ts';
import { benchCloudTrail } from './cloudtrail.ts';
import { benchCodeBuild } from './codebuild.ts';
import { benchCodeCommit } from './codecommit.ts';
import { benchCodeDeploy } from './codedeploy.ts';
import { benchCodePipeline } from './codepipeline.ts';
import { benchFirstCommand } from './first-command.ts';
import { benchGit } from './git.ts';
import { benchMachines } from './machines.ts';
import { benchScale } from './scale.ts';
import { benchStart } from './start.ts';
import { type Section, toMarkdown } from './support/section.ts';

const benches: Record<string, () => Promise<Section>> = {
  start: () => benchStart(7),
  api: () => benchApi(5),
  cloudtrail: () => benchCloudTrail(15),
  git: () => benchGit(5),
  codecommit: () => benchCodeCommit(5),
  machines: () => benchMachines(50),
  codebuild: () => benchCodeBuild(10, 'sandbox'),
  'first-command': () => benchFirstCommand(100),
  scale: () => benchScale('sandbox', [50, 500]),
  caches: () => benchBuildCaches(3, 'sandbox'),
  codepipeline: () => benchCodePipeline(15),
  codedeploy: () => benchCodeDeploy(100),
};

const named = process.argv.slice(2);
const unknown = named.filter((name) => !(name in benches));
if (unknown.length > 0) throw new Error(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}.`);

const parts: string[] = [];
for (const [name, run] of Object.entries(benches)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const before = loadavg()[0]!;
  let part: string;
  try {
    part = toMarkdown(await run());
  } catch (error) {
    part = `## ${name}\n\nFailed, so there is no figure: ${(error as Error).message}\n`;
    process.exitCode = 1;
  }
  // Whoever reads the figures must know whether something else was running.
  part += `- Load average before this bench: ${before.toFixed(1)}.\n`;
  console.log(part);
  parts.push(part);
}
if (named.length === 0) writeFileSync(path.join(import.meta.dirname, 'RESULTS.md'), `${header()}\n${parts.join('\n')}`);

function header(): string {
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB of memory`;
  return `# Results of the benches

\`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${processor}), ${memory}, Linux ${release().split('-')[0]}, Node ${process.version}.

Each peer is measured in the same run, beside Penstock, on the same cores; server, database and clients share them. The budgets are those of
the project's design for two cores. Every table says what limits its figures, and how busy the machine was before: a load average well above 1
means that other work had a share of the cores, which lengthens every figure, the peers' too.
`;
}
