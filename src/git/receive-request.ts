/** What a client of git-receive-pack is told first, and what it asks for then (gitprotocol-pack, "reference update request"). */
import { ZERO_ID } from './objects.ts';
import type { PacketReader } from './pkt-line.ts';
import { FLUSH, ProtocolError, packet } from './pkt-line.ts';

/** CodeCommit's limit of one push. */
export const MAX_REFS_PER_PUSH = 4000;
/** Beyond this the request is not read to its end: it is no push that anybody means. */
const MAX_COMMANDS = 100_000;
const MAX_COMMAND_BYTES = 32 * 1024 * 1024;

const capabilities = [
  'report-status',
  'report-status-v2',
  'delete-refs',
  'quiet',
  'atomic',
  'ofs-delta',
  'side-band-64k',
  'object-format=sha1',
  'agent=git/penstock',
];

export interface RefCommand {
  name: string;
  /** undefined: the reference must not exist. */
  oldId: string | undefined;
  /** undefined: delete it. */
  newId: string | undefined;
}

export interface ReceiveRequest {
  commands: RefCommand[];
  capabilities: Set<string>;
  /** The client's history ends at commits whose parents it does not have. */
  shallow: boolean;
}

/** All references, and what this server can. `version1` when the client asked for it by `GIT_PROTOCOL` or its header. Over HTTP a line with the service's name and a flush come before. */
export function* advertisement(refs: Iterable<{ name: string; objectId: string }>, version1: boolean): Generator<Buffer> {
  if (version1) yield packet('version 1\n');
  let first = `\0${capabilities.join(' ')}`;
  for (const { name, objectId } of refs) {
    yield packet(`${objectId} ${name}${first}\n`);
    first = '';
  }
  if (first) yield packet(`${ZERO_ID} capabilities^{}${first}\n`);
  yield FLUSH;
}

/** Reads up to where the pack begins. Undefined when the client sent nothing but a flush: it only tries whether it may speak. */
export async function readReceiveRequest(reader: PacketReader): Promise<ReceiveRequest | undefined> {
  const request: ReceiveRequest = { commands: [], capabilities: new Set(), shallow: false };
  let bytes = 0;
  for (;;) {
    const line = await reader.next();
    if (line === undefined && request.commands.length === 0) return undefined;
    if (line === 'flush') return request.commands.length > 0 ? request : undefined;
    if (!(line instanceof Buffer)) throw new ProtocolError('expected a flush packet after the commands');
    readLine(request, line);
    bytes += line.length;
    if (request.commands.length > MAX_COMMANDS || bytes > MAX_COMMAND_BYTES) throw new ProtocolError('too many commands');
  }
}

function readLine(request: ReceiveRequest, line: Buffer): void {
  const nul = line.indexOf(0);
  const text = (nul < 0 ? line : line.subarray(0, nul)).toString().replace(/\n$/, '');
  if (nul >= 0 && request.commands.length === 0) {
    for (const name of line
      .subarray(nul + 1)
      .toString()
      .trim()
      .split(' '))
      request.capabilities.add(name);
  }
  if (/^shallow [0-9a-f]{40}$/.test(text)) {
    request.shallow = true;
    return;
  }
  const command = /^([0-9a-f]{40}) ([0-9a-f]{40}) (.+)$/s.exec(text);
  if (!command) throw new ProtocolError(`protocol error: expected old/new/ref, got '${printable(text)}'`);
  const [, oldId, newId, name] = command as unknown as [string, string, string, string];
  request.commands.push({ name, oldId: oldId === ZERO_ID ? undefined : oldId, newId: newId === ZERO_ID ? undefined : newId });
}

function printable(text: string): string {
  return text.slice(0, 200).replace(/[\x00-\x1f\x7f]/g, '?');
}
