import { createInterface } from 'node:readline';
import { ImagePullError, type MachineImage } from '../port.ts';
import { type Engine, EngineError } from './engine.ts';

/** What the engine says while it pulls, a line of JSON at a time; Engine API, ImageCreate. */
interface Progress {
  id?: string;
  status?: string;
  error?: string;
  errorDetail?: { message?: string };
}

/** Engine API, ImageInspect. */
export interface InspectedImage {
  Id: string;
  Config: { Healthcheck?: object | null } | null;
}

/** Sees to it that the engine has an image, as its pull policy says. @throws ImagePullError; EngineLost. */
export async function provideImage(engine: Engine, image: MachineImage, signal: AbortSignal | undefined): Promise<InspectedImage> {
  const policy = image.pull ?? 'missing';
  const there = policy === 'always' ? undefined : await inspect(engine, image.name, signal);
  if (there) return there;
  if (policy === 'never') throw new ImagePullError(`the image ${image.name} is not on the engine, and is not to be pulled`);
  await pull(engine, image, signal);
  const pulled = await inspect(engine, image.name, signal);
  if (!pulled) throw new ImagePullError(`the engine pulled ${image.name}, but does not have it`);
  return pulled;
}

async function inspect(engine: Engine, name: string, signal: AbortSignal | undefined): Promise<InspectedImage | undefined> {
  try {
    return await engine.call<InspectedImage>('GET', `/images/${encodeURI(name)}/json`, { signal });
  } catch (error) {
    // 400: not even a name; pulling says so better.
    if (error instanceof EngineError && (error.status === 404 || error.status === 400)) return undefined;
    throw error;
  }
}

async function pull(engine: Engine, { name, credentials, onPull }: MachineImage, signal: AbortSignal | undefined): Promise<void> {
  const headers: Record<string, string> = credentials ? { 'X-Registry-Auth': authorization(name, credentials) } : {};
  try {
    const answer = await engine.stream('POST', '/images/create', { query: { fromImage: withTag(name) }, headers, signal });
    for await (const line of createInterface({ input: answer, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line.trim() === '') continue;
      const { id, status, error, errorDetail }: Progress = JSON.parse(line);
      if (error) throw new ImagePullError(errorDetail?.message ?? error);
      // Of layers only that they are there; how far each has come would be a line per moment.
      if (status && (!id || /^(Pull complete|Pulling from)/.test(status))) onPull?.(id ? `${id}: ${status}` : status);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof EngineError) throw new ImagePullError(error.message);
    throw error;
  }
}

/** Without a tag or digest the engine would pull every tag that there is. */
function withTag(name: string): string {
  return name.includes('@') || /:[^/]+$/.test(name) ? name : `${name}:latest`;
}

function authorization(name: string, { username, password }: NonNullable<MachineImage['credentials']>): string {
  const text = Buffer.from(JSON.stringify({ username, password, serveraddress: registryOf(name) })).toString('base64');
  // In the alphabet for URLs, but with the padding: without it Docker takes it for no credentials at all.
  return text.replaceAll('+', '-').replaceAll('/', '_');
}

/** The first part of a name is a registry if it could be a host; else the image is Docker Hub's. */
function registryOf(name: string): string {
  const first = name.split('/')[0]!;
  return name.includes('/') && /[.:]|^localhost$/.test(first) ? first : 'https://index.docker.io/v1/';
}
