/** StartSandboxConnection, and what its token opens: a session of Session Manager with a shell in the sandbox's machine. */
import { randomBytes } from 'node:crypto';
import type { Platform } from '../../../../platform/platform.ts';
import type { Principal } from '../../../../platform/principal.ts';
import { operation } from '../../../../platform/service.ts';
import { invalid } from '../../rules.ts';
import { sandboxArn } from '../describe.ts';
import { liveSandbox } from '../live.ts';
import { onSandboxes, requireSandbox } from '../sandboxes.ts';
import { DataChannel } from './data-channel.ts';
import { SessionShell } from './shell.ts';

/** Where data channels are opened; the first part has two letters, so no bucket has its name. */
export const CHANNEL_PATH = '/v1/data-channel/';

/** For a token to be used. */
const TOKEN_MS = 5 * 60_000;

export const startSandboxConnection = operation('codebuild', 'StartSandboxConnection', {
  authorize: ({ sandboxId }, ctx) => onSandboxes(ctx, [sandboxId]),
  partial: 'the session is a shell (Standard_Stream), not the SSH connection that AWS opens; it is not resumed after its connection broke',
  async handle(ctx, { sandboxId }) {
    const sandbox = await requireSandbox(ctx, sandboxId);
    if (sandbox.ended_at || sandbox.stop_requested_at || sandbox.workspace === null) {
      throw invalid(`Failed to start SSM session for sandbox ${sandboxArn(sandbox)}: codebuild:${sandbox.session} is not connected.`);
    }
    const sessionId = `${nameOf(ctx.principal)}-0${randomBytes(8).toString('hex')}`;
    const until = ctx.now().getTime() + TOKEN_MS;
    const base = ctx.config.publicUrl ?? ctx.http?.origin ?? ctx.config.endpoints.http;
    return {
      ssmSession: {
        sessionId,
        tokenValue: ctx.keyring.seal(purposeOf(sessionId), Buffer.from(JSON.stringify({ sandbox: sandbox.id, until } satisfies Grant))),
        streamUrl: `${base.replace(/^http/, 'ws')}${CHANNEL_PATH}${sessionId}?role=publish_subscribe`,
      },
    };
  },
});

interface Grant {
  sandbox: string;
  until: number;
}

function purposeOf(sessionId: string): string {
  return `codebuild.sandbox-session:${sessionId}`;
}

function nameOf(principal: Principal): string {
  const name = principal.type === 'User' ? principal.name : principal.type === 'AssumedRole' ? principal.sessionName : 'root';
  return name.replace(/[^\w.-]/g, '-');
}

/** Either side of a connection, as the gateway gives it. */
export interface Connection {
  send(bytes: Buffer): boolean;
  drained(): Promise<void>;
  /** The session is over; what was sent before arrives before. */
  close(): void;
}

export interface Session {
  receive(bytes: Buffer): void;
  /** The connection is gone. */
  gone(): void;
}

/** Where the session that this token opens must go on: here, or at another process. Undefined when the token opens none. */
export async function findSession(
  platform: Platform,
  sessionId: string,
  token: unknown,
): Promise<{ sandbox: string; elsewhere?: string } | undefined> {
  const plain = typeof token === 'string' ? platform.keyring.open(purposeOf(sessionId), token) : undefined;
  if (!plain) return undefined;
  const { sandbox, until } = JSON.parse(plain.toString()) as Grant;
  if (until < platform.now().getTime()) return undefined;
  if (liveSandbox(sandbox)) return { sandbox };
  const row = await platform.read
    .selectFrom('codebuild.sandboxes')
    .select('endpoint')
    .where('id', '=', sandbox)
    .where('ended_at', 'is', null)
    .where('owner', 'is not', null)
    .executeTakeFirst();
  return row?.endpoint && row.endpoint !== platform.config.endpoints.http ? { sandbox, elsewhere: row.endpoint } : undefined;
}

/** A shell for whoever is on this connection, until either ends. */
export function openSession(sandbox: string, sessionId: string, connection: Connection): Session {
  const around = liveSandbox(sandbox);
  if (!around) throw new Error(`Sandbox ${sandbox} is not run by this process.`);
  let shell: SessionShell | undefined;
  const channel = new DataChannel(sessionId, (bytes) => void connection.send(bytes), {
    onOpen() {
      around.log.agent(`Session ${sessionId} began`);
      shell = new SessionShell(around, sessionId, async (data) => {
        await channel.output(data);
        await connection.drained();
      });
      void shell.over.then((reason) => {
        around.log.agent(`Session ${sessionId} ended`);
        channel.close(reason);
        connection.close();
      });
    },
    onInput: (data) => shell?.input(data),
    onSize: (columns, rows) => shell?.resize(columns, rows),
    onEnd() {
      if (shell) shell.end();
      else {
        channel.close();
        connection.close();
      }
    },
  });
  return {
    receive: (bytes) => channel.receive(bytes),
    gone() {
      channel.dispose();
      shell?.end();
    },
  };
}
