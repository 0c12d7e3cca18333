import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readAppSpec } from './appspec.ts';
import { unpack } from './archive.ts';
import type { DeploymentSpec } from './deployment-spec.ts';
import { destinationsOn } from './destinations.ts';
import { AppSpecError } from './failure.ts';
import { writeDurably } from './files.ts';
import { findHook, HOOK_EVENTS, type HookContext, runHook } from './hooks.ts';
import type { Transport } from './http.ts';
import { carryOut, cleanUp } from './install.ts';
import { planInstall } from './install-plan.ts';
import { archiveIn } from './layout.ts';
import { persistently } from './retry.ts';
import { downloadBundle, pruneRevisions } from './revision.ts';

/** What lifecycle events are carried out with. */
export interface EventContext extends HookContext {
  transport: Transport;
}

/** How long a download is tried again, in milliseconds. */
const DOWNLOAD_PATIENCE_MS = 120_000;

/** True for an event whose command does nothing: its appspec has no script for it. Throws if the appspec cannot be used. */
export async function isNoop(event: string, spec: DeploymentSpec, context: EventContext): Promise<boolean> {
  if (!HOOK_EVENTS.includes(event)) return false;
  return (await findHook(event, spec, context.layout)) === undefined;
}

/** Carries out one lifecycle event and answers with the end of its scripts' output. */
export async function carryOutEvent(event: string, spec: DeploymentSpec, context: EventContext): Promise<string> {
  await mkdir(context.layout.deploymentDir(spec), { recursive: true });
  if (event === 'DownloadBundle') return download(spec, context);
  if (event === 'Install') return install(spec, context);
  if (!HOOK_EVENTS.includes(event)) throw new Error(`Unsupported command type: ${event}.`);
  const hook = await findHook(event, spec, context.layout);
  return hook ? runHook(hook, spec, context) : '';
}

async function download(spec: DeploymentSpec, { config, layout, transport }: EventContext): Promise<string> {
  const deploymentDir = layout.deploymentDir(spec);
  const bundle = join(deploymentDir, 'bundle.tar');
  await pruneRevisions(spec.deploymentGroupId, deploymentDir, config.maxRevisions, layout);
  await persistently(() => downloadBundle(spec.revision, bundle, config.s3Endpoint, transport), { forMs: DOWNLOAD_PATIENCE_MS });
  await unpack(bundle, spec.revision.bundleType, archiveIn(deploymentDir), {
    absoluteLinks: config.root === undefined,
    appSpecFilename: spec.appSpecFilename,
  });
  await writeDurably(layout.mostRecentFile(spec.deploymentGroupId), deploymentDir);
  return '';
}

async function install(spec: DeploymentSpec, { config, layout }: EventContext): Promise<string> {
  const { deploymentGroupId: group } = spec;
  const deploymentDir = layout.deploymentDir(spec);
  const archive = archiveIn(deploymentDir);
  const appSpec = await readAppSpec(archive, spec.appSpecFilename);
  const unknown = [...appSpec.hooks.keys()].filter((event) => spec.allPossibleEvents?.includes(event) === false);
  if (unknown.length > 0) throw new AppSpecError(`appspec.yml file contains unknown lifecycle events: ${JSON.stringify(unknown)}`);

  const destinations = destinationsOn(config.root);
  // The appspec's own setting wins over the deployment's.
  const behavior = appSpec.fileExistsBehavior ?? spec.fileExistsBehavior;
  const files = { installFile: layout.installFile(group), cleanupFile: layout.cleanupFile(group) };
  await mkdir(layout.instructionsDir, { recursive: true });
  await cleanUp(files.cleanupFile, destinations);
  const plan = await planInstall(archive, appSpec, behavior, destinations);
  await carryOut(plan, files, behavior, destinations);
  await writeDurably(layout.lastSuccessfulFile(group), deploymentDir);
  return '';
}
