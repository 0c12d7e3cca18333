/** What a client of git-upload-pack asks for in protocol 2 (gitprotocol-v2), as far as we must know it. */

export interface CloneRequest {
  /** The whole request, for git. */
  body: Buffer;
  /** What the answer depends on: the request without the client's names for itself. */
  essence: string;
  /** What else of the repository matters to the answer: with `tags`, those of what is sent come along. */
  dependsOn: 'nothing' | 'tags' | 'references';
}

/** Lines whose answer is the same whatever becomes of the references. */
const independent =
  /^(command=fetch|object-format=sha1|want [0-9a-f]{40}|done|thin-pack|no-progress|ofs-delta|sideband-all|filter .*|deepen \d+|shallow [0-9a-f]{40}|deepen-relative)$/;
/** Only for the server's log. */
const naming = /^(agent|session-id)=/;

/** The request of a client that has nothing yet and wants an answer; undefined for every other one. */
export function parseClone(body: Buffer, lines = textLines(body)): CloneRequest | undefined {
  if (lines?.[0] !== 'command=fetch' || !lines.includes('done')) return undefined;
  if (lines.some((line) => line.startsWith('have '))) return undefined;
  const essential = lines.filter((line) => !naming.test(line));
  return {
    body,
    essence: essential.join('\n'),
    dependsOn: dependency(essential),
  };
}

function dependency(lines: string[]): CloneRequest['dependsOn'] {
  const others = lines.filter((line) => !independent.test(line));
  if (others.length === 0) return 'nothing';
  return others.every((line) => line === 'include-tag') ? 'tags' : 'references';
}

/** All packets as text; undefined when these are no packets. */
export function textLines(body: Buffer): string[] | undefined {
  const lines: string[] = [];
  for (let at = 0; at < body.length; ) {
    const digits = body.toString('latin1', at, at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) return undefined;
    const length = Number.parseInt(digits, 16);
    if (length === 3 || at + length > body.length) return undefined;
    if (length > 4) lines.push(body.toString('utf8', at + 4, at + length).replace(/\n$/, ''));
    at += Math.max(length, 4);
  }
  return lines;
}
