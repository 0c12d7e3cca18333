/** What no client of good will sends: the answer is the real error, and the server goes on for everybody else. */
import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, afterEach, before, test } from 'node:test';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import { startServer, type TestServer } from '../support/server.ts';

let server: TestServer;
let codecommit: CodeCommit;
let agent: Agent;

before(async () => {
  server = await startServer();
  codecommit = new CodeCommit(server.client);
  agent = new Agent({ keepAlive: true, maxSockets: 4 });
  await codecommit.createRepository({ repositoryName: 'there' });
});
after(async () => {
  agent?.destroy();
  await server?.stop();
});
afterEach(async () => {
  assert.equal((await fetch(`${server.endpoint}/health`)).status, 200);
  assert.equal((await codecommit.getRepository({ repositoryName: 'there' })).repositoryMetadata?.repositoryName, 'there');
});

interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
}

/** A signed call whose body need not be what any SDK would send. */
async function call(target: string, body: string | Buffer, options: { contentType?: string; service?: string } = {}): Promise<Answer> {
  const { contentType = 'application/x-amz-json-1.1', service = 'codecommit' } = options;
  const { host, hostname, port } = new URL(server.endpoint);
  const stamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = `${stamp.slice(0, 8)}/${server.region}/${service}/aws4_request`;
  const hash = createHash('sha256').update(body).digest('hex');
  const named = target ? { 'x-amz-target': target } : {};
  const signed = { 'content-type': contentType, host, 'x-amz-content-sha256': hash, 'x-amz-date': stamp, ...named };
  const names = Object.keys(signed).join(';');
  const lines = Object.entries(signed).map(([name, value]) => `${name}:${value}\n`);
  const canonical = `POST\n/\n\n${lines.join('')}\n${names}\n${hash}`;
  const toSign = `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${createHash('sha256').update(canonical).digest('hex')}`;
  const key = scope
    .split('/')
    .reduce<Buffer | string>(
      (secret, step) => createHmac('sha256', secret).update(step).digest(),
      `AWS4${server.credentials.secretAccessKey}`,
    );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${server.credentials.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  const sent = request({ hostname, port, method: 'POST', path: '/', agent, headers: { ...signed, authorization } });
  sent.end(body);
  return read(await answerOf(sent));
}

async function answerOf(sent: ReturnType<typeof request>): Promise<IncomingMessage> {
  const [answer] = (await once(sent, 'response')) as [IncomingMessage];
  return answer;
}

async function read(answer: IncomingMessage): Promise<Answer> {
  let body = '';
  for await (const chunk of answer.setEncoding('utf8')) body += chunk;
  return { status: answer.statusCode!, headers: answer.headers, body };
}

/** The code and the message of an error in JSON. */
function errorOf({ body }: Answer): [string, string] {
  const { __type, message, Message } = JSON.parse(body);
  return [__type.split('#').at(-1), message ?? Message ?? ''];
}

async function openSocket(): Promise<Socket> {
  const { hostname, port } = new URL(server.endpoint);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  await once(socket, 'connect');
  return socket;
}

/** What comes back for these bytes until the server closes. */
async function raw(bytes: string | Buffer): Promise<string> {
  const socket = await openSocket();
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk) => {
    answer += chunk;
  });
  // Not `once`: that it was reset is no failure, the answer tells.
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(bytes);
  await closed;
  return answer;
}

/** One request line, as no URL library would write it. */
function get(target: string): Promise<string> {
  return raw(`GET ${target} HTTP/1.1\r\nhost: penstock\r\nconnection: close\r\n\r\n`);
}

const LIMIT = 32 * 1024 * 1024;

test('a body over the limit is refused, told beforehand or not, and nobody else’s connection ends', async () => {
  const neighbour = await openSocket();
  let heard = '';
  neighbour.setEncoding('latin1').on('data', (chunk) => {
    heard += chunk;
  });
  const { host } = new URL(server.endpoint);
  const head = `POST / HTTP/1.1\r\nhost: ${host}\r\nx-amz-target: CodeCommit_20150413.CreateCommit\r\ncontent-type: application/x-amz-json-1.1\r\n`;
  const declared = await raw(`${head}content-length: ${LIMIT + 1}\r\n\r\n`);
  assert.match(declared, /^HTTP\/1\.1 413 /);
  assert.match(declared, /RequestEntityTooLargeException/);

  const { hostname, port } = new URL(server.endpoint);
  const headers = { 'x-amz-target': 'CodeCommit_20150413.CreateCommit', 'content-type': 'application/x-amz-json-1.1' };
  const sent = request({ hostname, port, method: 'POST', path: '/', headers });
  sent.on('error', () => {});
  const chunk = Buffer.alloc(1024 * 1024, 0x20);
  let over = false;
  const answered = answerOf(sent).finally(() => {
    over = true;
  });
  for (let size = 0; size <= LIMIT + 4 * chunk.length && !over; size += chunk.length) {
    if (!sent.write(chunk)) await Promise.race([once(sent, 'drain'), answered]);
  }
  assert.equal((await answered).statusCode, 413);
  sent.destroy();

  neighbour.write('GET /health HTTP/1.1\r\nhost: penstock\r\nconnection: close\r\n\r\n');
  await once(neighbour, 'close');
  assert.match(heard, /^HTTP\/1\.1 200 /);
});

test('bodies that break off, and a client that goes before its answer', async () => {
  const { host } = new URL(server.endpoint);
  for (const [path, target] of [
    ['/', 'x-amz-target: CodeCommit_20150413.GetRepository\r\n'],
    ['/bucket/key', ''],
    ['/v1/repos/there/git-receive-pack', ''],
  ]) {
    for (const framing of ['content-length: 1000', 'transfer-encoding: chunked']) {
      const method = path === '/bucket/key' ? 'PUT' : 'POST';
      const socket = await openSocket();
      socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\n${target}${framing}\r\n\r\n`);
      socket.write(framing.startsWith('transfer') ? '3e8\r\nabc' : 'abc');
      socket.end();
      socket.resume();
      await once(socket, 'close');
    }
  }
});

test('half requests do not keep others waiting', async () => {
  const sockets = await Promise.all(Array.from({ length: 200 }, openSocket));
  for (const [index, socket] of sockets.entries()) {
    if (index % 2) socket.write('GET / HTTP/1.1\r\nhost: pen');
    else socket.write('PUT /bucket/key HTTP/1.1\r\nhost: penstock\r\ncontent-length: 100\r\n\r\nhalf');
  }
  for (let index = 0; index < 20; index += 1) await codecommit.getRepository({ repositoryName: 'there' });
  for (const socket of sockets) socket.destroy();
});

test('what is not HTTP', async () => {
  const refused = /^HTTP\/1\.1 400 /;
  assert.match(await raw('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello\r\n\r\n'), refused);
  assert.match(await raw('hello there\r\n\r\n'), refused);
  assert.match(await raw('GET / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc'), refused, 'smuggling');
  assert.match(await raw('GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n'), refused);
  assert.match(await raw('GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n'), refused);
  assert.match(await raw(`GET / HTTP/1.1\r\nhost: a\r\nx-long: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
  const many = Array.from({ length: 2_500 }, (_, index) => `x-${index}: 1\r\n`).join('');
  assert.match(await raw(`GET / HTTP/1.1\r\nhost: a\r\n${many}\r\n`), /^HTTP\/1\.1 431 /);
});

test('paths that decode to nothing, leave their place, or are very long', async () => {
  const paths = ['/%', '/%zz', '/%ff%fe', '/bucket/%c0%ae%c0%ae/key', '/bucket/%00', '//', '/../../etc/passwd', '/..%2f..%2fetc%2fpasswd'];
  paths.push(`/bucket/${'a'.repeat(12_000)}`, '/?%zz=%zz', '/bucket?list-type=2&prefix=%ff', '/bucket/key?partNumber=%zz&uploadId=%00');
  for (const repository of ['%zz', '..', '..%2f..', '%00', '%ff', 'a'.repeat(5_000)]) {
    paths.push(`/v1/repos/${repository}/info/refs?service=git-upload-pack`, `/v1/repos/${repository}/git-upload-pack`);
  }
  for (const path of paths) {
    const answer = await get(path);
    assert.match(answer, /^HTTP\/1\.1 4\d\d /, `${path.slice(0, 80)}: ${answer.slice(0, 200)}`);
    assert.doesNotMatch(answer, /root:/);
  }
});

test('targets, content types and bodies that are none', async () => {
  const target = 'CodeCommit_20150413.GetRepository';
  assert.equal((await call('CodeCommit_20150413.NoSuchThing', '{}')).status, 404);
  assert.equal((await call('NoSuchService.GetRepository', '{}')).status, 404);
  for (const odd of [
    'CodeCommit_20150413',
    'CodeCommit_20150413.',
    '.',
    '__proto__.toString',
    'CodeCommit_20150413.constructor',
    'CodeCommit_20150413.__proto__',
  ]) {
    const answer = await call(odd, '{}');
    assert.equal(answer.status, 404, `${odd}: ${answer.body}`);
    assert.equal(errorOf(answer)[0], 'UnknownOperationException');
  }
  for (const contentType of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'a'.repeat(500)]) {
    const answer = await call(target, '{"repositoryName":"there"}', { contentType });
    assert.ok(answer.status === 200 || answer.status === 404 || answer.status === 415, `${contentType}: ${answer.status} ${answer.body}`);
  }
  const broken = [
    '{',
    '[]',
    '"text"',
    'null',
    '{"repositoryName":',
    '{"repositoryName":"there"}}',
    '\u0000',
    '{"repositoryName":"\\ud800"',
    '\xff\xfe',
  ];
  for (const body of broken) {
    const answer = await call(target, Buffer.from(body, 'latin1'));
    assert.equal(answer.status, 400, `${body}: ${answer.body}`);
    assert.match(errorOf(answer)[0], /^(SerializationException|RepositoryNameRequiredException)$/);
  }
  const wrong = ['{"repositoryName":1}', '{"repositoryName":{}}', '{"repositoryName":["there"]}', '{"repositoryName":true}'];
  for (const body of wrong) assert.equal(errorOf(await call(target, body))[0], 'SerializationException', body);
  const nul = errorOf(await call(target, JSON.stringify({ repositoryName: 'a\u0000b' })));
  assert.equal(nul[0], 'InvalidRepositoryNameException');
});

test('forms of query services that name nothing, or too much', async () => {
  const form = (body: string) => call('', body, { contentType: 'application/x-www-form-urlencoded; charset=utf-8', service: 'iam' });
  for (const action of ['', 'constructor', '__proto__', 'toString', 'ListUsers%00', '%ff']) {
    const answer = await form(`Action=${action}&Version=2010-05-08`);
    assert.equal(answer.status, 400, `${action}: ${answer.body}`);
    assert.match(answer.body, /<Code>(InvalidAction|MissingAction)<\/Code>/);
  }
  const more = 'constructor=1&__proto__=2&__proto__.x=3&toString.member.1=4&a.b.c.d=5&.=6&=7&%zz=8';
  assert.equal((await form(`Action=ListUsers&Version=2010-05-08&${more}`)).status, 200);
  const lists = await form(
    'Action=CreateUser&Version=2010-05-08&UserName=u&Tags.member.999999999.Key=k&Tags.member.-1.Value=v&Tags.member.x=y',
  );
  assert.equal(lists.status, 400, lists.body);
  assert.equal((await form(`Action=ListUsers&Version=2010-05-08${'&x=y'.repeat(200_000)}`)).status, 200);
});

test('JSON that is deep, wide or named after what objects have of themselves', async () => {
  const target = 'CodeCommit_20150413.GetRepository';
  for (const depth of [1_000, 200_000]) {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const filling = open === '[' ? '' : '1';
      const deep = `{"repositoryName":${open.repeat(depth)}${filling}${close.repeat(depth)}}`;
      const answer = await call(target, deep);
      assert.equal(answer.status, 400, answer.body);
      const aside = await call(target, `{"repositoryName":"there","unknown":${open.repeat(depth)}${filling}${close.repeat(depth)}}`);
      assert.ok(aside.status === 200 || aside.status === 400, aside.body);
    }
  }
  const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, index) => [`k${index}`, index]));
  assert.equal((await call(target, JSON.stringify({ ...wide, repositoryName: 'there' }))).status, 200);

  assert.equal(errorOf(await call(target, '{"__proto__":{"repositoryName":"there"}}'))[0], 'RepositoryNameRequiredException');
  assert.equal((await call(target, '{"repositoryName":"there","__proto__":{"x":1},"constructor":{"prototype":{"x":1}}}')).status, 200);
  assert.equal(errorOf(await call(target, '{"constructor":{"repositoryName":"there"}}'))[0], 'RepositoryNameRequiredException');
  const tags = '{"__proto__":"a","constructor":"b","toString":"c","plain":"d"}';
  const made = await call('CodeCommit_20150413.CreateRepository', `{"repositoryName":"tagged","tags":${tags}}`);
  assert.equal(made.status, 200, made.body);
  const arn = `arn:aws:codecommit:${server.region}:${server.account}:tagged`;
  const listed = await call('CodeCommit_20150413.ListTagsForResource', JSON.stringify({ resourceArn: arn }));
  assert.deepEqual(Object.entries(JSON.parse(listed.body).tags).sort(), Object.entries(JSON.parse(tags)).sort());
});
