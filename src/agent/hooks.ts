import { access, chmod, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type AppSpec, type HookScript, insideArchive, readAppSpec } from './appspec.ts';
import type { AgentConfig } from './config.ts';
import type { DeploymentSpec } from './deployment-spec.ts';
import { EventFailure, Outcome } from './failure.ts';
import { archiveIn, deploymentDirIn, type Layout } from './layout.ts';
import type { ProcessIdentity } from './processes.ts';
import { commandFor } from './run-as.ts';
import { runScript, type ScriptEnd } from './script.ts';
import { openScriptLog, type ScriptLog } from './script-log.ts';

/** Lifecycle events that consist of the appspec's scripts. */
export const HOOK_EVENTS = [
  'BeforeBlockTraffic',
  'AfterBlockTraffic',
  'ApplicationStop',
  'BeforeInstall',
  'AfterInstall',
  'ApplicationStart',
  'BeforeAllowTraffic',
  'AfterAllowTraffic',
  'ValidateService',
];

/** The scripts of one lifecycle event and the deployment directory whose revision they come from. */
export interface Hook {
  event: string;
  deploymentDir: string;
  scripts: HookScript[];
}

/** What a hook is run with. */
export interface HookContext {
  config: AgentConfig;
  layout: Layout;
  region: string;
  onScriptStart(process: ProcessIdentity): Promise<void>;
  /** Ends running scripts: the agent cannot wait for them any longer. */
  signal: AbortSignal;
}

/** The scripts that a deployment has for an event; undefined if there is nothing to do. Throws if the appspec cannot be used. */
export async function findHook(event: string, spec: DeploymentSpec, layout: Layout): Promise<Hook | undefined> {
  const deploymentDir = await deploymentDirFor(event, spec, layout);
  if (deploymentDir === undefined) return undefined;
  const appSpec: AppSpec = await readAppSpec(archiveIn(deploymentDir), spec.appSpecFilename);
  const scripts = appSpec.hooks.get(event) ?? [];
  return scripts.length > 0 ? { event, deploymentDir, scripts } : undefined;
}

/**
 * Which revision's scripts an event runs. What stops the running application, or takes it out of the traffic, comes from the revision
 * that is running. In the rollback of a blue/green deployment the two sides change places.
 */
async function deploymentDirFor(event: string, spec: DeploymentSpec, layout: Layout): Promise<string | undefined> {
  const lastSuccessful = () => deploymentDirIn(layout.lastSuccessfulFile(spec.deploymentGroupId));
  const mostRecent = () => deploymentDirIn(layout.mostRecentFile(spec.deploymentGroupId));
  const swapped = spec.creator === 'codeDeployRollback' && spec.type === 'BLUE_GREEN';
  switch (event) {
    case 'ApplicationStop':
      return lastSuccessful();
    case 'BeforeBlockTraffic':
    case 'AfterBlockTraffic':
      return swapped ? mostRecent() : lastSuccessful();
    case 'BeforeAllowTraffic':
    case 'AfterAllowTraffic':
      return swapped ? lastSuccessful() : layout.deploymentDir(spec);
    default:
      return layout.deploymentDir(spec);
  }
}

/** Runs an event's scripts one after the other and answers with the end of their output. Throws EventFailure at the first that fails. */
export async function runHook(hook: Hook, spec: DeploymentSpec, context: HookContext): Promise<string> {
  const { config, layout } = context;
  const log = await openScriptLog(
    join(hook.deploymentDir, 'logs', 'scripts.log'),
    config.enableDeploymentsLog ? layout.deploymentsLog : undefined,
    spec.deploymentId,
  );
  try {
    log.line(`LifecycleEvent - ${hook.event}`);
    for (const script of hook.scripts) await runOne(script, hook, spec, context, log);
    return log.tail();
  } catch (error) {
    if (error instanceof EventFailure) error.log = log.tail();
    throw error;
  } finally {
    await log.flush();
  }
}

async function runOne(script: HookScript, hook: Hook, spec: DeploymentSpec, context: HookContext, log: ScriptLog): Promise<void> {
  const { location, timeoutSeconds, runas } = script;
  const failed = (code: EventFailure['code'], message: string) => new EventFailure(code, location, message);

  const path = await insideArchive(archiveIn(hook.deploymentDir), location);
  if (path === undefined) throw failed(Outcome.ScriptMissing, `Script does not exist at specified location: ${location}`);
  if (!(await makeExecutable(path))) {
    throw failed(Outcome.ScriptNotExecutable, `Unable to set script at specified location: ${location} as executable`);
  }

  const command = await commandFor(script, path);
  log.line(`Script - ${location}`);
  const end = await runScript({
    command,
    env: hookEnvironment(hook.event, spec, context),
    cwd: context.config.root ?? '/',
    timeoutSeconds,
    onLine: (source, line) => log.line(`[${source}]${line}`),
    onStart: context.onScriptStart,
    signal: context.signal,
  });
  if (end.kind === 'exit' && end.code === 0) return;
  if (end.kind === 'aborted') {
    throw failed(Outcome.FailedAfterRestart, `Script at specified location: ${location} was ended because the agent was stopped`);
  }
  if (end.kind === 'timeout') {
    throw failed(Outcome.ScriptTimedOut, `Script at specified location: ${location} failed to complete in ${timeoutSeconds} seconds`);
  }
  if (end.kind === 'outputs-open') {
    throw failed(
      Outcome.OutputsLeftOpen,
      `Script at specified location: ${location} failed to close STDOUT or STDERR in ${timeoutSeconds} seconds`,
    );
  }
  const as = runas === undefined ? '' : ` run as user ${runas}`;
  throw failed(Outcome.ScriptFailed, `Script at specified location: ${location}${as} failed with ${described(end)}`);
}

function described(end: Exclude<ScriptEnd, { kind: 'aborted' | 'timeout' | 'outputs-open' }>): string {
  return end.kind === 'exit' ? `exit code ${end.code}` : `signal ${end.signal}`;
}

/** False if the file cannot be made executable, or is not a file. */
async function makeExecutable(path: string): Promise<boolean> {
  const found = await stat(path);
  if (!found.isFile()) return false;
  // Root may "execute" nothing either that has no x bit at all.
  if (
    found.mode & 0o111 &&
    (await access(path, constants.X_OK).then(
      () => true,
      () => false,
    ))
  )
    return true;
  return chmod(path, found.mode | 0o111).then(
    () => true,
    () => false,
  );
}

/** Variables of the agent's own environment that are no business of the scripts: keys, and settings of Penstock itself. */
const NOT_INHERITED = /^(AWS_ACCESS_KEY_ID|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|AWS_CREDENTIAL_FILE|PENSTOCK_.*)$/;

/** The environment of a hook: the agent's without those, the AWS agent's variables, and `PENSTOCK_ROOT` below a root directory. */
function hookEnvironment(event: string, spec: DeploymentSpec, { config, region }: HookContext): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name));
  const { bucket, key, version, etag } = spec.revision;
  return {
    ...Object.fromEntries(inherited),
    AWS_REGION: region,
    LIFECYCLE_EVENT: event,
    DEPLOYMENT_ID: spec.deploymentId,
    APPLICATION_NAME: spec.applicationName,
    DEPLOYMENT_GROUP_NAME: spec.deploymentGroupName,
    DEPLOYMENT_GROUP_ID: spec.deploymentGroupId,
    BUNDLE_BUCKET: bucket,
    BUNDLE_KEY: key,
    ...(version !== undefined && { BUNDLE_VERSION: version }),
    ...(etag !== undefined && { BUNDLE_ETAG: etag }),
    ...(config.root !== undefined && { PENSTOCK_ROOT: config.root }),
  };
}
