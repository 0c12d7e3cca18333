/** Two servers of git over HTTP behind one interface: Penstock, and its peer `git http-backend` behind a plain Node server. */
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { git } from '../../src/git/client.ts';
import { signGit, withCredentials } from '../../test/support/git.ts';
import type { TestServer } from '../../test/support/server.ts';

export interface Side {
  name: string;
  /** A new empty repository's URL, and what git's environment needs for it. */
  create(repository: string): Promise<{ url: string; env: Record<string, string> }>;
}

export function penstock(server: TestServer): Side {
  const codecommit = new CodeCommit(server.client);
  return {
    name: 'penstock',
    async create(repository) {
      await codecommit.createRepository({ repositoryName: repository });
      return { url: `${server.endpoint}/v1/repos/${repository}`, env: withCredentials(signGit(server, repository)) };
    },
  };
}

export async function startHttpBackend(root: string): Promise<{ side: Side; close(): Promise<void> }> {
  await mkdir(root);
  const server = createServer((request, response) => runBackend(root, request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    side: {
      name: 'git http-backend',
      async create(repository) {
        await git(root, ['init', '-q', '--bare', `${repository}.git`]);
        await git(path.join(root, `${repository}.git`), ['config', 'http.receivepack', 'true']);
        return { url: `http://127.0.0.1:${port}/${repository}.git`, env: {} };
      },
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** CGI, as any web server would do it. */
function runBackend(root: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url!, 'http://localhost');
  const header = (name: string) => (request.headers[name] as string | undefined) ?? '';
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_PROTOCOL: header('git-protocol'),
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: header('content-type'),
      CONTENT_LENGTH: header('content-length'),
      HTTP_CONTENT_ENCODING: header('content-encoding'),
      REMOTE_ADDR: '127.0.0.1',
    },
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  const onHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    child.stdout.off('data', onHead);
    let status = 200;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name, value] = line.split(/: (.*)/s) as [string, string];
      if (name === 'Status') status = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.writeHead(status);
    response.write(head.subarray(end + 4));
    child.stdout.pipe(response);
  };
  child.stdout.on('data', onHead);
}
