import { join } from 'node:path';
import type { DeploymentSpec } from './deployment-spec.ts';
import { readIfPresent } from './files.ts';

/** Where things are below `root_dir`; the same places as the AWS agent's, so that either can take over from the other. */
export interface Layout {
  groupDir(group: string): string;
  deploymentDir(spec: DeploymentSpec): string;
  instructionsDir: string;
  installFile(group: string): string;
  cleanupFile(group: string): string;
  lastSuccessfulFile(group: string): string;
  mostRecentFile(group: string): string;
  deploymentsLog: string;
  /** Deployments with a command running, one file each that holds the command's identifier. */
  ongoingDir: string;
  /** What only this agent keeps: its lock and its record of commands. */
  ownDir: string;
}

/** The places of an agent whose `root_dir` is given. */
export function layoutOf(rootDir: string): Layout {
  const instructionsDir = join(rootDir, 'deployment-instructions');
  return {
    groupDir: (group) => join(rootDir, group),
    deploymentDir: (spec) => join(rootDir, spec.deploymentGroupId, spec.deploymentId),
    instructionsDir,
    installFile: (group) => join(instructionsDir, `${group}-install.json`),
    cleanupFile: (group) => join(instructionsDir, `${group}-cleanup`),
    lastSuccessfulFile: (group) => join(instructionsDir, `${group}_last_successful_install`),
    mostRecentFile: (group) => join(instructionsDir, `${group}_most_recent_install`),
    deploymentsLog: join(rootDir, 'deployment-logs', 'codedeploy-agent-deployments.log'),
    ongoingDir: join(rootDir, 'ongoing-deployment'),
    ownDir: join(rootDir, 'penstock-agent'),
  };
}

/** The unpacked revision inside a deployment's directory. */
export function archiveIn(deploymentDir: string): string {
  return join(deploymentDir, 'deployment-archive');
}

/** The deployment directory that a `…_install` file names, or undefined if the group has none yet. */
export async function deploymentDirIn(file: string): Promise<string | undefined> {
  return (await readIfPresent(file))?.trimEnd() || undefined;
}
