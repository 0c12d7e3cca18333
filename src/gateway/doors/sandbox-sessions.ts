import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CHANNEL_PATH, findSession, openSession, type Session } from '../../devtools/codebuild/sandboxes/session/connections.ts';
import type { Platform } from '../../platform/platform.ts';
import { acceptWebSocket, CLOSE, type ServerWebSocket } from '../websocket.ts';
import type { Door } from './index.ts';

/** For the first message, which has the token. */
const TOKEN_MS = 10_000;

/**
 * `GET /v1/data-channel/<session>` as a WebSocket: the data channel of a Session Manager session in a sandbox. The first message, a text, carries
 * the token that StartSandboxConnection gave; it is the authentication.
 */
export const sandboxSessions: Door = (app, { platform }) => {
  const open = new Set<ServerWebSocket>();
  // The server waits for its connections, and of these it knows nothing.
  app.addHook('preClose', async () => {
    for (const connection of open) connection.close(CLOSE.GOING_AWAY);
  });
  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const found = new RegExp(`^${CHANNEL_PATH}([\\w.-]{1,256})(?:\\?|$)`).exec(request.url ?? '');
    if (!found) return void socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    acceptWebSocket(request, socket, head, (connection) => {
      open.add(connection);
      serve(platform, connection, { sessionId: found[1]!, url: request.url! }, () => open.delete(connection));
    }).catch((error) => {
      platform.log.warn({ error: (error as Error).message }, 'a connection to a sandbox could not be taken');
      socket.destroy();
    });
  });
};

/** From the first message on. `over` is called once, at the end. */
function serve(
  platform: Platform,
  connection: ServerWebSocket,
  { sessionId, url }: { sessionId: string; url: string },
  over: () => void,
): void {
  let session: Session | undefined;
  let gone = false;
  let first = true;
  const waiting = setTimeout(() => connection.close(CLOSE.POLICY), TOKEN_MS);

  const begin = async (opening: Buffer) => {
    clearTimeout(waiting);
    const where = await findSession(platform, sessionId, tokenIn(opening));
    if (gone) return;
    if (!where) return connection.close(CLOSE.POLICY);
    session = where.elsewhere
      ? relay(connection, where.elsewhere, url, opening.toString('utf8'))
      : openSession(where.sandbox, sessionId, connection);
  };

  connection.listen({
    onMessage(data, binary) {
      if (!first) return binary ? session?.receive(data) : undefined;
      first = false;
      if (binary) return connection.close(CLOSE.POLICY);
      begin(data).catch((error) => {
        platform.log.warn({ error: (error as Error).message }, 'a session of a sandbox could not be opened');
        connection.close(CLOSE.INTERNAL_ERROR);
      });
    },
    onClose() {
      gone = true;
      over();
      clearTimeout(waiting);
      session?.gone();
    },
  });
}

function tokenIn(opening: Buffer): unknown {
  try {
    return (JSON.parse(opening.toString('utf8')) as { TokenValue?: unknown } | null)?.TokenValue;
  } catch {
    return undefined;
  }
}

/** To the process that runs the sandbox, which looks at the token itself. */
function relay(connection: ServerWebSocket, endpoint: string, url: string, opening: string): Session {
  const other = new WebSocket(`${endpoint.replace(/^http/, 'ws')}${url}`);
  other.binaryType = 'arraybuffer';
  other.addEventListener('open', () => other.send(opening));
  other.addEventListener('message', ({ data }) => {
    if (data instanceof ArrayBuffer) connection.send(Buffer.from(data));
  });
  other.addEventListener('close', () => connection.close());
  other.addEventListener('error', () => connection.close(CLOSE.INTERNAL_ERROR));
  return {
    receive(bytes) {
      if (other.readyState === WebSocket.OPEN) other.send(bytes);
    },
    gone: () => other.close(),
  };
}
