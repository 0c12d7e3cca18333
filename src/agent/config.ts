import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { messageOf } from './failure.ts';

/** The agent's settings. File names are absolute; times are in the unit that the name says. */
export interface AgentConfig {
  /** Where revisions, instructions and the agent's own records are kept. One agent per directory. */
  rootDir: string;
  logDir: string;
  /** The region, keys and identity of this host: the file that `aws deploy register` writes. */
  onPremisesConfigFile: string;
  deployControlEndpoint: URL;
  s3Endpoint: URL;
  /** Certificates that a deployment specification must have been signed under. */
  signerCaFile: string;
  /** Certificates that the server's TLS certificate must lead to; undefined: the system's. */
  caFile: string | undefined;
  /** With it, every destination of an appspec is taken below this directory. */
  root: string | undefined;
  waitBetweenRunsSeconds: number;
  maxRevisions: number;
  httpReadTimeoutSeconds: number;
  killAgentMaxWaitTimeSeconds: number;
  /** Use the `codedeploy-commands-secure` name of the command service, which checks IAM policies per call. */
  enableAuthPolicy: boolean;
  enableDeploymentsLog: boolean;
  verbose: boolean;
}

/** Far more than any setting means, and little enough for a timer. */
const MOST_SECONDS = 1_000_000;

/** Reads a configuration file in the form of the AWS agent's `codedeployagent.yml`: YAML, keys `:like_this:` or plain. */
export async function loadConfig(file: string, overrides: { root?: string } = {}): Promise<AgentConfig> {
  const settings = settingsOf(file, await readFile(file, 'utf8'));
  const base = dirname(resolve(file));

  const text = (key: string): string | undefined => {
    const value = settings.get(key);
    if (value === undefined || value === null || value === '') return undefined;
    if (typeof value !== 'string') throw new Error(`${file}: ${key} must be a text.`);
    return value;
  };
  const required = (key: string): string => {
    const value = text(key);
    if (value === undefined) throw new Error(`${file}: ${key} is required.`);
    return value;
  };
  const path = (value: string) => resolve(base, value);
  const number = (key: string, fallback: number, least: number): number => {
    const value = settings.get(key) ?? fallback;
    if (typeof value !== 'number' || !(value >= least && value <= MOST_SECONDS)) {
      throw new Error(`${file}: ${key} must be a number from ${least} to ${MOST_SECONDS}.`);
    }
    return value;
  };
  const flag = (key: string, fallback: boolean): boolean => {
    const value = settings.get(key) ?? fallback;
    if (typeof value !== 'boolean') throw new Error(`${file}: ${key} must be true or false.`);
    return value;
  };
  const endpoint = (key: string, value: string): URL => {
    const url = URL.canParse(value) ? new URL(value) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) throw new Error(`${file}: ${key} must be an http or https URL, not "${value}".`);
    return url;
  };

  const control = required('deploy_control_endpoint');
  const caFile = text('ca_file');
  const root = overrides.root ?? text('root');
  return {
    rootDir: path(required('root_dir')),
    logDir: path(text('log_dir') ?? `${required('root_dir')}/logs`),
    onPremisesConfigFile: path(text('on_premises_config_file') ?? '/etc/codedeploy-agent/conf/codedeploy.onpremises.yml'),
    deployControlEndpoint: endpoint('deploy_control_endpoint', control),
    // Penstock serves everything on one port, so the one endpoint is enough.
    s3Endpoint: endpoint('s3_endpoint_override', text('s3_endpoint_override') ?? control),
    signerCaFile: path(required('signer_ca_file')),
    caFile: caFile === undefined ? undefined : path(caFile),
    root: root === undefined ? undefined : overrides.root === undefined ? path(root) : resolve(root),
    waitBetweenRunsSeconds: number('wait_between_runs', 1, 0),
    maxRevisions: Math.floor(number('max_revisions', 5, 1)),
    httpReadTimeoutSeconds: number('http_read_timeout', 80, 1),
    killAgentMaxWaitTimeSeconds: number('kill_agent_max_wait_time_seconds', 7200, 0),
    enableAuthPolicy: flag('enable_auth_policy', false),
    enableDeploymentsLog: flag('enable_deployments_log', true),
    verbose: flag('verbose', false),
  };
}

function settingsOf(file: string, content: string): Map<string, unknown> {
  let parsed: unknown;
  try {
    parsed = parse(content);
  } catch (error) {
    throw new Error(`${file} is not valid YAML: ${messageOf(error)}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new Error(`${file} must hold settings, one "key: value" a line.`);
  return new Map(Object.entries(parsed).map(([key, value]) => [key.replace(/^:/, '').replace(/:$/, ''), value]));
}
