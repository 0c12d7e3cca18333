import { readFile, stat } from 'node:fs/promises';
import { parse } from 'yaml';
import { messageOf } from './failure.ts';

/** Keys that sign a request. */
export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

/** Who this host is to the command service, and how its requests are signed. */
export interface Identity {
  region: string;
  /** The ARN of the host's IAM user or role session: `HostIdentifier` of every call. */
  hostIdentifier: string;
  /** The keys to use now. A session's keys are read again whenever their file has changed. */
  credentials(): Promise<Credentials>;
}

/**
 * Reads an on-premises configuration: `region` with either `iam_user_arn` and a key pair, or `iam_session_arn` and the name of a
 * credentials file that something else keeps fresh.
 */
export async function loadIdentity(file: string): Promise<Identity> {
  const fields = await fieldsOf(file);
  const field = (key: string): string => {
    const value = fields[key];
    if (value === undefined) throw new Error(`${file}: ${key} is required.`);
    return value;
  };

  if (fields.iam_session_arn !== undefined) {
    if (fields.iam_user_arn !== undefined) throw new Error(`${file}: iam_user_arn and iam_session_arn exclude each other.`);
    const credentials = sessionCredentials(field('aws_credentials_file'));
    await credentials();
    return { region: field('region'), hostIdentifier: field('iam_session_arn'), credentials };
  }
  const keys = { accessKeyId: field('aws_access_key_id'), secretAccessKey: field('aws_secret_access_key') };
  return { region: field('region'), hostIdentifier: field('iam_user_arn'), credentials: async () => keys };
}

async function fieldsOf(file: string): Promise<Record<string, string>> {
  let parsed: unknown;
  try {
    parsed = parse(await readFile(file, 'utf8'), { schema: 'failsafe' });
  } catch (error) {
    throw new Error(`The on-premises configuration ${file} cannot be read: ${messageOf(error)}`);
  }
  if (typeof parsed !== 'object' || parsed === null) throw new Error(`${file} must hold settings, one "key: value" a line.`);
  return Object.fromEntries(Object.entries(parsed).filter(([, value]) => typeof value === 'string' && value !== ''));
}

/** Keys out of the `default` profile of a credentials file. */
function sessionCredentials(file: string): () => Promise<Credentials> {
  let known: { version: string; credentials: Credentials } | undefined;
  return async () => {
    const { mtimeMs, ino } = await stat(file);
    const version = `${ino} ${mtimeMs}`;
    if (known?.version !== version) known = { version, credentials: defaultProfile(file, await readFile(file, 'utf8')) };
    return known.credentials;
  };
}

function defaultProfile(file: string, content: string): Credentials {
  const values = new Map<string, string>();
  let profile = '';
  for (const line of content.split('\n')) {
    const heading = /^\s*\[\s*([^\]]*?)\s*\]/.exec(line);
    if (heading) profile = heading[1]!;
    const setting = /^\s*([A-Za-z_]+)\s*=\s*(\S+)\s*$/.exec(line);
    if (setting && profile === 'default') values.set(setting[1]!.toLowerCase(), setting[2]!);
  }
  const accessKeyId = values.get('aws_access_key_id');
  const secretAccessKey = values.get('aws_secret_access_key');
  const sessionToken = values.get('aws_session_token');
  if (!accessKeyId || !secretAccessKey || !sessionToken) {
    throw new Error(`${file}: the default profile needs aws_access_key_id, aws_secret_access_key and aws_session_token.`);
  }
  return { accessKeyId, secretAccessKey, sessionToken };
}
