/** Names of CodeDeploy's resources in policies, events and errors. */
import { randomInt } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';

interface Where {
  account: string;
  region: string;
}

const arn = ({ account, region }: Where, rest: string): string => `arn:aws:codedeploy:${region}:${account}:${rest}`;

export const applicationArn = (where: Where, name: string): string => arn(where, `application:${name}`);
export const groupArn = (where: Where, application: string, group: string): string => arn(where, `deploymentgroup:${application}/${group}`);
export const configArn = (where: Where, name: string): string => arn(where, `deploymentconfig:${name}`);
/** As policies name on-premises instances. */
export const instancePolicyArn = (where: Where, name: string): string => arn(where, `instance:${name}`);
/** As the API shows them: with a tail, so that a name that is used again is another instance. */
export const instanceArn = (where: Where, name: string, suffix: string): string => arn(where, `instance/${name}_${suffix}`);

/** The host of an agent: whoever signs as `identity` there. */
export const hostKey = ({ account, region }: Where, identity: string): string => `${account}/${region}/${identity}`;
/** Signalled when a host has something new to do. */
export const hostTopic = (host: string): string => `codedeploy.host:${host}`;

const CAPITALS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const LETTERS = `${CAPITALS}abcdefghijklmnopqrstuvwxyz`;

export function newDeploymentId(): string {
  return `d-${randomText(9, CAPITALS)}`;
}

export function randomText(length: number, alphabet = LETTERS): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}

export function applicationMissing(name: string): AwsError {
  return new AwsError('ApplicationDoesNotExistException', `No application found for name: ${name}`);
}

export function groupMissing(name: string): AwsError {
  return new AwsError('DeploymentGroupDoesNotExistException', `No Deployment Group found for name: ${name}`);
}

export function configMissing(name: string): AwsError {
  return new AwsError('DeploymentConfigDoesNotExistException', `No Deployment Configuration found for name: ${name}`);
}

/** For an id of no deployment: whether it is none at all, or one that is not there. */
export function deploymentMissing(id: string): AwsError {
  if (!/^d-[A-Z0-9]{9}$/.test(id)) {
    return new AwsError('InvalidDeploymentIdException', `Specified DeploymentId is not in the valid format: ${id}`);
  }
  return new AwsError('DeploymentDoesNotExistException', `The deployment ${id} could not be found`);
}

const UNIQUE_VIOLATION = '23505';

/** For `.catch`: what to say when somebody else was faster with a name. */
export function whenTaken(taken: () => AwsError): (error: { code?: string }) => never {
  return (error) => {
    throw error.code === UNIQUE_VIOLATION ? taken() : error;
  };
}
