/** `aws.as(role).codebuild.startBuild(input)`: calls between services, in process, by the same rules as a call over the wire. */
import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import type { AwsClients, Clients, Credentials } from '../platform/aws.ts';
import { AwsError } from '../platform/errors.ts';
import { type Principal, servicePrincipal } from '../platform/principal.ts';
import { createContext } from './context.ts';
import type { Exchange, Gateway, IncomingCall } from './exchange.ts';
import { record } from './record.ts';
import { remoteClients } from './remote.ts';
import { innerSteps, take } from './steps.ts';

/** A kept session is renewed this long before it expires. */
const RENEW_MS = 5 * 60_000;
const MAX_SESSIONS = 5_000;

const INSIDE: Omit<IncomingCall, 'headers'> = {
  method: 'POST',
  path: '/',
  query: '',
  stream: Readable.from([]),
  sourceIp: '127.0.0.1',
  secure: true,
};

/** `gateway` may be completed after this call: it is first looked at when a client is used. */
export function createClients(gateway: Gateway): AwsClients {
  const sessions = new Map<string, { principal: Principal; credentials: Credentials }>();

  // `caller` is what AWS shows as the user agent of a service's own calls: `codepipeline.amazonaws.com`.
  const call = async (
    caller: string,
    principal: Principal,
    region: string,
    service: string,
    operationName: string,
    input: Record<string, unknown>,
    via?: string,
  ) => {
    const exchange: Exchange = {
      gateway,
      call: { ...INSIDE, headers: { 'user-agent': caller } },
      requestId: randomUUID(),
      startedAt: performance.now(),
      family: 'json',
      entry: gateway.registry.byName(service),
      operationName,
      principal,
      region,
      trailers: new Map(),
      input,
    };
    if (!exchange.entry) throw new AwsError('NotImplementedException', `Penstock does not have the service "${service}".`, { status: 501 });
    exchange.context = createContext(exchange, true, via);
    try {
      await take(innerSteps, exchange);
    } catch (error) {
      exchange.error = error as Error;
      throw error;
    } finally {
      record(exchange);
    }
    return exchange.output ?? {};
  };

  const clientsOf = (caller: string, principal: Principal, region: string, via?: string): Clients =>
    proxy((service) => {
      const endpoint = gateway.platform.config.serviceEndpoints[service];
      if (endpoint) return remoteClients(service, { endpoint, region });
      return (operationName, input) => call(caller, principal, region, service, operationName, input, via);
    });

  const session = async (who: { role: string; service: string; sessionName: string; region: string; durationSeconds?: number }) => {
    const account = who.role.split(':')[4] ?? '';
    const key = [who.role, who.service, who.sessionName].join('|');
    const kept = sessions.get(key);
    if (kept && who.durationSeconds === undefined && kept.credentials.expiration.getTime() - Date.now() > RENEW_MS) {
      // A role that was deleted and made anew is another role: its old sessions are worth nothing.
      const known = await gateway.access.credentials(kept.credentials.accessKeyId, kept.credentials.sessionToken);
      if (typeof known !== 'string') return { principal: known.principal, credentials: kept.credentials };
    }
    const sts = clientsOf(`${who.service}.amazonaws.com`, servicePrincipal(who.service, account), who.region).sts;
    const { Credentials: given } = await sts.assumeRole({
      RoleArn: who.role,
      RoleSessionName: sessionNameOf(who.sessionName),
      DurationSeconds: who.durationSeconds,
    });
    const credentials: Credentials = {
      accessKeyId: given!.AccessKeyId,
      secretAccessKey: given!.SecretAccessKey,
      sessionToken: given!.SessionToken,
      expiration: given!.Expiration,
    };
    const known = await gateway.access.credentials(credentials.accessKeyId, credentials.sessionToken);
    if (typeof known === 'string') throw new AwsError('AccessDeniedException', `The session of ${who.role} is not valid.`);
    const made = { principal: known.principal, credentials };
    if (sessions.size >= MAX_SESSIONS) sessions.delete(sessions.keys().next().value!);
    sessions.set(key, made);
    return made;
  };

  return {
    async as(who) {
      const { principal } = await session(who);
      return clientsOf(`${who.service}.amazonaws.com`, principal, who.region);
    },
    asService: (service, where) =>
      clientsOf(`${service}.amazonaws.com`, servicePrincipal(service, where.account, where.sourceArn), where.region),
    asPrincipal: (principal, region, via) => clientsOf(via === undefined ? 'penstock' : `${via}.amazonaws.com`, principal, region, via),
    credentials: async (who) => (await session(who)).credentials,
  };
}

/** Session names take 2 to 64 characters of `[\w+=,.@-]`; names of pipelines and builds are longer and hold others. */
function sessionNameOf(name: string): string {
  return name
    .replace(/[^\w+=,.@-]/g, '-')
    .slice(0, 64)
    .padEnd(2, '-');
}

type Call = (operationName: string, input: Record<string, unknown>) => Promise<unknown>;

/** `clients.codecommit.getBranch` becomes `call('GetBranch')` of the service `codecommit`. */
function proxy(service: (name: string) => Call): Clients {
  return new Proxy({} as Clients, {
    get: (_, name: string) => {
      const call = service(name);
      return new Proxy(
        {},
        { get: (__, method: string) => (input: Record<string, unknown>) => call(method[0]!.toUpperCase() + method.slice(1), input ?? {}) },
      );
    },
  });
}
