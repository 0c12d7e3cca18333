/** Which image a build's machine is made of, and how it is pulled. */
import type { Clients } from '../../../platform/aws.ts';
import type { Config } from '../../../platform/config.ts';
import { AwsError } from '../../../platform/errors.ts';
import { ImagePullError, type MachineImage } from '../../../ports/machines/port.ts';
import type { BuildLog } from '../runner/log.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { BuildRow } from '../tables.ts';

type Environment = NonNullable<BuildRow['definition']['environment']>;

const CURATED = 'aws/codebuild/';
/** The same images, where anybody can pull them: gallery.ecr.aws/codebuild. */
const PUBLIC = 'public.ecr.aws/codebuild/';

/**
 * The name under which an engine finds a project's image. `map` is PENSTOCK_IMAGE_MAP: `from=to` separated by spaces or commas; a `from` that ends
 * in `*` stands for all names that begin so, and a `to` that ends in `*` takes over the rest.
 */
export function imageName(image: string, map: string): string {
  for (const entry of map.split(/[\s,]+/).filter(Boolean)) {
    const at = entry.indexOf('=');
    const [from, to] = [entry.slice(0, at), entry.slice(at + 1)];
    if (from === image) return to;
    if (from.endsWith('*') && image.startsWith(from.slice(0, -1)))
      return to.endsWith('*') ? to.slice(0, -1) + image.slice(from.length - 1) : to;
  }
  return image.startsWith(CURATED) ? PUBLIC + image.slice(CURATED.length) : image;
}

/** Throws BuildFailure when the credentials for its registry cannot be had. */
export async function machineImage(
  environment: Environment,
  { map, pull }: Config['images'],
  clients: () => Promise<Clients>,
  log: BuildLog,
): Promise<MachineImage> {
  const name = imageName(environment.image ?? '', map);
  const { credential } = environment.registryCredential ?? {};
  const credentials = credential === undefined ? undefined : await registryCredentials(credential, await clients());
  if (credentials) log.masker.add(credentials.password);
  return { name, pull, onPull: (line) => log.agent(`Pulling ${name}: ${line}`), ...(credentials ? { credentials } : {}) };
}

/** CodeBuild user guide, "Private registry with Secrets Manager": the secret holds `username` and `password`. */
async function registryCredentials(secret: string, clients: Clients): Promise<NonNullable<MachineImage['credentials']>> {
  let text: string | undefined;
  try {
    text = (await clients.secretsmanager.getSecretValue({ SecretId: secret })).SecretString;
  } catch (error) {
    if (error instanceof AwsError) throw unableToPull(`the registry credential ${secret} cannot be read: ${error.code}: ${error.message}`);
    throw error;
  }
  const { username, password } = parse(text);
  if (typeof username === 'string' && typeof password === 'string') return { username, password };
  throw unableToPull(`the registry credential ${secret} is no JSON object with the texts "username" and "password"`);
}

function parse(text = ''): { username?: unknown; password?: unknown } {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** An error of making a machine, in the words of a build. */
export function asBuildFailure(error: unknown): unknown {
  return error instanceof ImagePullError ? unableToPull(error.message) : error;
}

function unableToPull(reason: string): BuildFailure {
  return new BuildFailure('BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE', `Unable to pull customer's container image. ${reason}`);
}
