/** The service that host agents talk to: a command at a time, its specification, its acknowledgement, its outcome. */
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { type Operation, operation, type RequestContext } from '../../platform/service.ts';
import type { Deployment } from './deployment-rows.ts';
import { endEvent, type LifecycleEvent, type Target } from './engine/target-progress.ts';
import { callingHost, nextCommand, requireRegistered, sawAgent } from './hosts.ts';
import { isNoop, readDiagnostics } from './lifecycle.ts';
import type { Signer } from './signer.ts';
import { specificationText } from './specification.ts';
import type { EventStatus } from './tables.ts';

/** The API of 2014, and that of 2019, whose calls need permissions of their own. */
type CommandApi = 'codedeploy-commands' | 'codedeploy-commands-secure';
type CommandStatus = 'Pending' | 'InProgress' | 'Succeeded' | 'Failed';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Polls are answered at once when the process stops, so that agents turn to another. */
const closing = new AbortController();

export async function answerPollsOnStop(_platform: unknown, signal: AbortSignal): Promise<void> {
  signal.addEventListener('abort', () => closing.abort(), { once: true });
}

/** The five operations, for one of the two APIs. */
export function commandOperations(api: CommandApi): Record<string, Operation> {
  // Hosts of the older API need no policy: being registered is their permission.
  const authorize = api === 'codedeploy-commands' ? ('none' as const) : () => '*';
  return {
    pollHostCommand: operation(api, 'PollHostCommand', {
      authorize,
      async handle(ctx, { HostIdentifier }) {
        const host = callingHost(ctx, HostIdentifier);
        await requireRegistered(ctx);
        await sawAgent(ctx, host);
        const command = await nextCommand(ctx, host, closing.signal);
        if (!command) return {};
        return {
          HostCommand: {
            HostCommandIdentifier: command.command_id,
            HostIdentifier,
            // Four parts, as agents check.
            DeploymentExecutionId: [ctx.account, ctx.region, command.deployment_id, command.target].join('/'),
            CommandName: command.name,
            Nonce: 0,
          },
        };
      },
    }),

    getDeploymentSpecification: operation(api, 'GetDeploymentSpecification', {
      authorize,
      async handle(ctx, { DeploymentExecutionId, HostIdentifier }) {
        const host = callingHost(ctx, HostIdentifier);
        const payload = await signedSpecification(ctx, host, DeploymentExecutionId);
        return {
          DeploymentSystem: 'CodeDeploy',
          DeploymentSpecification: { GenericEnvelope: { Format: 'PKCS7/JSON', Payload: payload } },
        };
      },
    }),

    putHostCommandAcknowledgement: operation(api, 'PutHostCommandAcknowledgement', {
      authorize,
      async handle(ctx, { HostCommandIdentifier, Diagnostics }) {
        const host = callingHost(ctx);
        return ctx.transaction(async (tx) => {
          const { event, deployment, target } = await lockCommand(tx, host, HostCommandIdentifier);
          if (event.ended_at) return { CommandStatus: statusFor(event.status) };
          const now = ctx.now();
          if (isNoop(Diagnostics?.Payload)) {
            const diagnostics = readDiagnostics('{"error_code":0,"message":"Succeeded"}', true);
            await endEvent(tx, deployment, target, event, { status: 'Succeeded', diagnostics, startedAt: now }, now);
            return { CommandStatus: 'Succeeded' as const };
          }
          // An acknowledgement may come twice, when its answer was lost; the command began with the first.
          if (!event.started_at) {
            const begun = { status: 'InProgress' as const, started_at: now };
            await tx.sql.updateTable('codedeploy.events').set(begun).where('command_id', '=', event.command_id).execute();
          }
          return { CommandStatus: 'InProgress' as const };
        });
      },
    }),

    /** Agents report a failure twice: once ended, a command stays as it ended. */
    putHostCommandComplete: operation(api, 'PutHostCommandComplete', {
      authorize,
      async handle(ctx, { HostCommandIdentifier, CommandStatus: status, Diagnostics }) {
        if (status !== 'Succeeded' && status !== 'Failed') {
          throw ctx.error('ClientException', `A command is completed as Succeeded or Failed, not as ${status}.`);
        }
        const host = callingHost(ctx);
        await ctx.transaction(async (tx) => {
          const { event, deployment, target } = await lockCommand(tx, host, HostCommandIdentifier);
          if (event.ended_at) return;
          const now = ctx.now();
          const diagnostics = readDiagnostics(Diagnostics?.Payload, status === 'Succeeded');
          await endEvent(tx, deployment, target, event, { status, diagnostics, startedAt: event.started_at ?? now }, now);
        });
        return {};
      },
    }),

    postHostCommandUpdate: operation(api, 'PostHostCommandUpdate', {
      authorize,
      async handle(ctx, { HostCommandIdentifier }) {
        const host = callingHost(ctx);
        const event = await ctx.read
          .selectFrom('codedeploy.events')
          .select('status')
          .where('command_id', '=', checkedId(HostCommandIdentifier))
          .where('host', '=', host)
          .executeTakeFirst();
        if (!event) throw unknownCommand(HostCommandIdentifier);
        return { CommandStatus: statusFor(event.status) };
      },
    }),
  };
}

function statusFor(status: EventStatus): CommandStatus {
  // What was skipped meanwhile (stopped, too late) is not to be done: agents leave a failed command alone.
  return status === 'Skipped' ? 'Failed' : status;
}

function checkedId(id: string): string {
  if (!UUID.test(id)) throw unknownCommand(id);
  return id;
}

function unknownCommand(id: string): AwsError {
  return new AwsError('ClientException', `There is no command ${id.slice(0, 100)} for this host.`);
}

/** The command with its target and deployment; nobody else changes the target until the transaction ends. */
async function lockCommand(
  tx: Transaction,
  host: string,
  id: string,
): Promise<{ event: LifecycleEvent; target: Target; deployment: Deployment }> {
  const target = await tx.sql
    .selectFrom('codedeploy.targets as target')
    .innerJoin('codedeploy.events as event', (join) =>
      join.onRef('event.deployment_id', '=', 'target.deployment_id').onRef('event.target', '=', 'target.position'),
    )
    .selectAll('target')
    .where('event.command_id', '=', checkedId(id))
    .where('event.host', '=', host)
    .forUpdate('target')
    .executeTakeFirst();
  if (!target) throw unknownCommand(id);
  // Read after the lock was had: before, somebody else may have ended the event, or stopped the deployment.
  const event = await tx.sql.selectFrom('codedeploy.events').selectAll().where('command_id', '=', id).executeTakeFirstOrThrow();
  const deployment = await tx.sql
    .selectFrom('codedeploy.deployments')
    .selectAll()
    .where('id', '=', target.deployment_id)
    .executeTakeFirstOrThrow();
  if (event.queued_at === null && event.ended_at === null) throw unknownCommand(id);
  return { event, target, deployment };
}

let signer: Promise<Signer> | undefined;
/** All hosts of a deployment get the same text: it is signed once. */
const signed = new Map<string, Promise<string>>();
const MAX_SIGNED = 200;

async function signedSpecification(ctx: RequestContext, host: string, execution: string): Promise<string> {
  const [, , deploymentId = '', target = ''] = execution.split('/');
  const deployment = await ctx.read
    .selectFrom('codedeploy.deployments as deployment')
    .innerJoin('codedeploy.targets as target', 'target.deployment_id', 'deployment.id')
    .selectAll('deployment')
    .where('deployment.id', '=', deploymentId)
    .where('target.position', '=', /^\d{1,6}$/.test(target) ? Number(target) : -1)
    .where('target.host', '=', host)
    .executeTakeFirst();
  if (!deployment) throw new AwsError('ClientException', `There is no deployment ${execution} for this host.`);
  let payload = signed.get(deploymentId);
  if (!payload) {
    // Loaded only here: a server without deployments needs no PKCS7.
    signer ??= import('./signer.ts').then(({ createSigner }) => createSigner(ctx.authority, ctx.now));
    payload = signer.then((ready) => ready.sign(specificationText(deployment)));
    if (signed.size >= MAX_SIGNED) signed.delete(signed.keys().next().value!);
    signed.set(deploymentId, payload);
    payload.catch(() => signed.delete(deploymentId));
  }
  return payload;
}
