/**
 * Stands in for GitHub, GitLab and Bitbucket: git over HTTP and HTTPS by git's own http-backend, behind basic authentication, and their REST
 * APIs as far as CodeBuild needs them, below `/api/github`, `/api/gitlab` and `/api/bitbucket`; over HTTPS also where servers of one's own have
 * theirs (`/api/v3`, `/api/v4`). Keeps what it is sent.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { openIssuer, selfSign } from '../../src/platform/certificates.ts';

const run = promisify(execFile);
const DEADLINE_MS = 60_000;

export interface ApiCall {
  method: string;
  path: string;
  authorization: string | undefined;
  body: any;
}

type Answer = { status: number; body?: unknown };

export class GitProvider implements AsyncDisposable {
  readonly calls: ApiCall[] = [];
  /** The user of each request of git that was let in. */
  readonly gitUsers: string[] = [];
  /** What is asked of git and of the API; changed by tests. */
  token = 'stand-in-token-4711';
  readonly users = new Set(['x-access-token', 'oauth2', 'x-token-auth', 'builder']);
  readonly #root: string;
  readonly #plain = createServer((request, response) => this.#serve(request, response));
  readonly #secure: ReturnType<typeof createSecureServer>;
  readonly #planned: { path: RegExp; answers: Answer[] }[] = [];
  #hooks = 0;
  /** By the path of their list. */
  readonly #made = new Map<string, unknown[]>();
  #silent: RegExp | undefined;

  private constructor(root: string, identity: { certificate: string; privateKey: string }) {
    this.#root = root;
    this.#secure = createSecureServer({ cert: identity.certificate, key: identity.privateKey }, (request, response) =>
      this.#serve(request, response),
    );
  }

  static async start(): Promise<GitProvider> {
    const issuer = await openIssuer(await selfSign());
    const root = await mkdtemp(path.join(tmpdir(), 'penstock-provider-'));
    const provider = new GitProvider(root, await issuer.issueServer(['127.0.0.1'], 1));
    for (const server of [provider.#plain, provider.#secure]) await once(server.listen(0, '127.0.0.1'), 'listening');
    return provider;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#plain.address() as AddressInfo).port}`;
  }

  /** Shows a certificate that nobody vouches for. */
  get secureUrl(): string {
    return `https://127.0.0.1:${(this.#secure.address() as AddressInfo).port}`;
  }

  /** For the server: this is GitHub, GitLab and Bitbucket. */
  get env(): Record<string, string> {
    return Object.fromEntries(
      ['github', 'gitlab', 'bitbucket'].flatMap((name) => [
        [`PENSTOCK_${name.toUpperCase()}_URL`, this.url],
        [`PENSTOCK_${name.toUpperCase()}_API_URL`, `${this.url}/api/${name}`],
      ]),
    );
  }

  /** Commits files to a branch of `owner/name`, which is made if need be; gives the commit. */
  async commit(repository: string, branch: string, files: Record<string, string>, message = 'Change files'): Promise<string> {
    const bare = path.join(this.#root, `${repository}.git`);
    const git = (...args: string[]) =>
      run('git', ['-c', 'user.name=T', '-c', 'user.email=t@example.com', ...args], { env: gitEnvironment() });
    await git('init', '-q', '--bare', '-b', 'main', bare);
    await git('-C', bare, 'config', 'uploadpack.allowAnySHA1InWant', 'true');
    const work = await mkdtemp(path.join(this.#root, 'work-'));
    await git('clone', '-q', bare, work);
    const known = await git('-C', work, 'rev-parse', '-q', '--verify', `origin/${branch}`).catch(() => undefined);
    await git('-C', work, 'checkout', '-q', '-B', branch, ...(known ? [`origin/${branch}`] : []));
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(work, name), text);
    await git('-C', work, 'add', '-A');
    await git('-C', work, 'commit', '-q', '--allow-empty', '-m', message);
    await git('-C', work, 'push', '-q', 'origin', branch);
    const { stdout } = await git('-C', work, 'rev-parse', 'HEAD');
    await rm(work, { recursive: true });
    return stdout.trim();
  }

  /** git's own command in the bare repository. */
  async git(repository: string, ...args: string[]): Promise<string> {
    return (await run('git', ['-C', path.join(this.#root, `${repository}.git`), ...args], { env: gitEnvironment() })).stdout.trim();
  }

  /** A tree of entries as `ls-tree` writes them. */
  async makeTree(repository: string, entries: string): Promise<string> {
    const child = spawn('git', ['-C', path.join(this.#root, `${repository}.git`), 'mktree', '--missing'], { env: gitEnvironment() });
    child.stdin.end(`${entries}\n`);
    const [chunk] = await once(child.stdout, 'data');
    return String(chunk).trim();
  }

  /** The answers to the next calls of the API whose path matches, one after another; then the usual ones. */
  answer(where: RegExp, ...answers: Answer[]): void {
    this.#planned.push({ path: where, answers });
  }

  /** From now on what fits is done and never answered, as if the connection had broken; undefined: nothing. */
  hold(where: RegExp | undefined): void {
    this.#silent = where;
  }

  /** Waits until a call was made that fits. */
  async called(fits: (call: ApiCall) => boolean): Promise<ApiCall> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const found = this.calls.find(fits);
      if (found) return found;
      await once(this.#plain, 'called', { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#plain, this.#secure]) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
    await rm(this.#root, { recursive: true, force: true, maxRetries: 5 });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://provider');
    if (/^\/api\//.test(url.pathname)) return this.#serveApi(request, response, url);
    // A host that sends git on to another one.
    if (url.pathname.startsWith('/moved/')) {
      response.writeHead(301, { location: `${this.url.replace('127.0.0.1', 'localhost')}${request.url!.slice('/moved'.length)}` }).end();
      return;
    }
    const given = Buffer.from((request.headers.authorization ?? '').replace(/^Basic /, ''), 'base64').toString();
    const [user = '', password] = given.split(':');
    if (!url.pathname.startsWith('/public/') && !(this.users.has(user) && password === this.token)) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    this.gitUsers.push(user);
    this.#serveGit(request, response, url);
  }

  #serveGit(request: IncomingMessage, response: ServerResponse, url: URL): void {
    // As at GitHub, a repository is there under its name with and without `.git`.
    const file = url.pathname.replace(/(\.git)?(\/info\/refs|\/git-upload-pack)$/, '.git$2');
    const backend = spawn('git', ['http-backend'], {
      env: {
        ...gitEnvironment(),
        GIT_PROJECT_ROOT: this.#root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: file,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method ?? 'GET',
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        GIT_PROTOCOL: (request.headers['git-protocol'] as string | undefined) ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    request.pipe(backend.stdin);
    const chunks: Buffer[] = [];
    backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    backend.once('close', () => {
      const output = Buffer.concat(chunks);
      const end = output.indexOf('\r\n\r\n');
      const headers = output.subarray(0, end).toString().split('\r\n').map((line) => line.split(/: (.*)/s).slice(0, 2)); // biome-ignore format: one line
      const status = headers.find(([name]) => name === 'Status')?.[1];
      const rest = headers.filter(([name]) => name !== 'Status').flat() as string[];
      response.writeHead(status ? Number.parseInt(status, 10) : 200, rest).end(output.subarray(end + 4));
    });
  }

  async #serveApi(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const call: ApiCall = {
      method: request.method ?? '',
      path: `${url.pathname}${url.search}`,
      authorization: request.headers.authorization,
      body: text === '' ? undefined : JSON.parse(text),
    };
    const { status, body } = this.#authorized(call) ? this.#answerTo(call) : { status: 401, body: { message: 'Bad credentials' } };
    this.calls.push(call);
    this.#plain.emit('called');
    if (this.#silent?.test(`${call.method} ${call.path}`)) return;
    response.writeHead(status, { 'content-type': 'application/json' }).end(body === undefined ? undefined : JSON.stringify(body));
  }

  #authorized({ authorization = '' }: ApiCall): boolean {
    const basic = Buffer.from(`builder:${this.token}`).toString('base64');
    return authorization === `Bearer ${this.token}` || authorization === `Basic ${basic}`;
  }

  #answerTo(call: ApiCall): Answer {
    const planned = this.#planned.find((plan) => plan.answers.length > 0 && plan.path.test(`${call.method} ${call.path}`));
    if (planned) return planned.answers.shift()!;
    if (call.method === 'DELETE') return { status: 204 };
    if (/\/hooks$/.test(call.path) && call.method === 'POST') {
      this.#hooks += 1;
      const id = this.#hooks;
      const own = call.body.config ? { url: `${this.url}${call.path}/${id}`, config: call.body.config } : { url: call.body.url };
      const body = call.path.includes('bitbucket') ? { uuid: `{hook-${id}}`, url: call.body.url } : { id, ...own };
      this.#made.set(call.path, [...(this.#made.get(call.path) ?? []), body]);
      return { status: 201, body };
    }
    if (call.method === 'GET') return { status: 200, body: this.#made.get(call.path.split('?')[0] ?? '') ?? [] };
    return { status: call.method === 'POST' ? 201 : 200, body: {} };
  }
}

function gitEnvironment(): Record<string, string> {
  return { PATH: process.env.PATH ?? '', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' };
}
