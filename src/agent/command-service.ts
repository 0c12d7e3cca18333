import type { AgentConfig } from './config.ts';
import type { Identity } from './credentials.ts';
import { bodyOf, ServiceError, type Transport } from './http.ts';

/** A lifecycle event for this host to carry out. */
export interface HostCommand {
  HostCommandIdentifier: string;
  HostIdentifier: string;
  DeploymentExecutionId: string;
  CommandName: string;
}

type CommandStatus = 'Pending' | 'InProgress' | 'Succeeded' | 'Failed';

export interface Envelope {
  Format: string;
  Payload: string;
}

/** The four calls of the command service that the agent makes (API 2014-10-06, JSON 1.1). Each throws ServiceError on a refusal. */
export interface CommandService {
  /** Waits, as long as the server holds the request, for a command for this host. */
  poll(signal: AbortSignal): Promise<HostCommand | undefined>;
  getSpecification(command: HostCommand): Promise<Envelope>;
  acknowledge(command: HostCommand, isNoop: boolean): Promise<CommandStatus | undefined>;
  complete(identifier: string, status: 'Succeeded' | 'Failed', diagnostics: string): Promise<void>;
}

/** Reported in `x-amz-codedeploy-agent-version`. */
const AGENT_VERSION = 'penstock-agent_0.1.0';

/** An envelope holds a signed specification of some kilobytes; nothing that the service sends is near this. */
const LONGEST_ANSWER_BYTES = 4 * 1024 * 1024;

/** The command service at the configured endpoint, called as this host. */
export function connectCommandService(config: AgentConfig, identity: Identity, transport: Transport): CommandService {
  const { service, target } = config.enableAuthPolicy
    ? { service: 'codedeploy-commands-secure', target: 'CodeDeployCommandService' }
    : { service: 'codedeploy-commands', target: 'CodeDeployCommandService_v20141006' };

  const call = async (operation: string, input: object, signal?: AbortSignal): Promise<Record<string, any>> => {
    const response = await transport.send({
      service,
      method: 'POST',
      url: config.deployControlEndpoint,
      headers: {
        'content-type': 'application/x-amz-json-1.1',
        'x-amz-target': `${target}.${operation}`,
        'x-amz-codedeploy-agent-version': AGENT_VERSION,
      },
      body: JSON.stringify(input),
      ...(signal && { signal }),
    });
    const body = await bodyOf(response, LONGEST_ANSWER_BYTES);
    const answer = objectOf(body);
    if (response.statusCode === 200 && (answer || body.trim() === '')) return answer ?? {};
    throw errorOf(operation, response.statusCode ?? 0, answer, body);
  };

  const json = (payload: string) => ({ Format: 'JSON', Payload: payload });
  return {
    async poll(signal) {
      const { HostCommand: command } = await call('PollHostCommand', { HostIdentifier: identity.hostIdentifier }, signal);
      if (!command) return undefined;
      for (const field of ['HostCommandIdentifier', 'HostIdentifier', 'DeploymentExecutionId', 'CommandName']) {
        if (typeof command[field] !== 'string' || command[field] === '') throw new Error(`The server sent a command without ${field}.`);
      }
      if (!identity.hostIdentifier.includes(command.HostIdentifier)) {
        throw new Error(`Host Identifier mismatch: ${identity.hostIdentifier} != ${command.HostIdentifier}`);
      }
      return command as HostCommand;
    },

    async getSpecification(command) {
      const answer = await call('GetDeploymentSpecification', {
        DeploymentExecutionId: command.DeploymentExecutionId,
        HostIdentifier: identity.hostIdentifier,
      });
      if (answer.DeploymentSystem !== 'CodeDeploy') {
        throw new Error(`Deployment System mismatch: CodeDeploy != ${answer.DeploymentSystem}`);
      }
      const envelope = answer.DeploymentSpecification?.GenericEnvelope;
      if (typeof envelope?.Payload !== 'string') throw new Error('Deployment Specification missing');
      return envelope;
    },

    async acknowledge(command, isNoop) {
      const { CommandStatus: status } = await call('PutHostCommandAcknowledgement', {
        HostCommandIdentifier: command.HostCommandIdentifier,
        Diagnostics: json(JSON.stringify({ IsCommandNoop: isNoop })),
      });
      return status;
    },

    async complete(identifier, status, diagnostics) {
      await call('PutHostCommandComplete', {
        HostCommandIdentifier: identifier,
        CommandStatus: status,
        Diagnostics: json(diagnostics),
      });
    },
  };
}

function objectOf(body: string): Record<string, any> | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function errorOf(operation: string, status: number, answer: Record<string, any> | undefined, body: string): ServiceError {
  const type = String(answer?.__type ?? answer?.code ?? 'UnknownError');
  const code = type.slice(type.lastIndexOf('#') + 1);
  const detail = answer?.message ?? answer?.Message ?? body.slice(0, 200);
  return new ServiceError(status, code, `${operation} was answered with ${status} ${code}: ${detail}`);
}
