/** Names of parameters: what they may be, their ARNs, and how a request picks a version. */
import { AwsError } from '../../platform/errors.ts';
import type { Check, RequestContext } from '../../platform/service.ts';

const MAX_LEVELS = 15;
const MAX_ARN = 1011;

type Place = Pick<RequestContext, 'account' | 'region'>;

/** The slash that begins a path is not repeated. */
export function parameterArn({ account, region }: Place, name: string): string {
  return `arn:aws:ssm:${region}:${account}:parameter${name.startsWith('/') ? '' : '/'}${name}`;
}

/** A name, and the version number or label behind a colon. Names may be given as ARNs of this account and region. */
export function readSelector(place: Place, given: string): { name: string; selector: string | undefined } {
  const own = `arn:aws:ssm:${place.region}:${place.account}:parameter`;
  const name = given.startsWith(`${own}/`) ? given.slice(own.length) : given;
  const colon = name.indexOf(':', name.startsWith('arn:') ? name.indexOf(':parameter') + 1 : 0);
  return colon < 0 ? { name, selector: undefined } : { name: name.slice(0, colon), selector: name.slice(colon + 1) };
}

/** An ARN has lost whether the name began with a slash: both are looked for. */
export function candidates(given: string, name: string): string[] {
  return given.startsWith('arn:') && name.startsWith('/') ? [name, name.slice(1)] : [name];
}

export function onParameter(place: Place, given: string, more: Partial<Check> = {}): Check {
  return { ...more, resource: parameterArn(place, readSelector(place, given).name) };
}

/** Throws the error of a name that no parameter may have. */
export function requireNewName(place: Place, name: string): void {
  if (/[^a-zA-Z0-9_.\-/]/.test(name)) {
    throw validation('Only a mix of letters, numbers and the following 4 symbols .-_/ are allowed in the name of a parameter.');
  }
  if (name.includes('/') && !name.startsWith('/')) {
    throw validation('Parameter name must be a fully qualified name: one that has a / must begin with it.');
  }
  if (name.includes('//') || (name.endsWith('/') && name.length > 0)) {
    throw validation('A parameter name must not end with a slash or have two in a row.');
  }
  const reserved = /^\/?(aws|ssm)/i.exec(name)?.[1];
  if (reserved) throw validation(`Parameter name: can't be prefixed with "${reserved.toLowerCase()}" (case-insensitive).`);
  if (name.split('/').length - 1 > MAX_LEVELS) {
    throw new AwsError(
      'HierarchyLevelLimitExceededException',
      `The hierarchy depth of the parameter name exceeds the maximum of ${MAX_LEVELS} levels.`,
    );
  }
  if (parameterArn(place, name).length > MAX_ARN) {
    throw validation(`The name of a parameter, with the ARN that it is part of, must not be longer than ${MAX_ARN} characters.`);
  }
}

export function validation(message: string): AwsError {
  return new AwsError('ValidationException', message);
}

export function parameterNotFound(name: string): AwsError {
  return new AwsError('ParameterNotFound', name === '' ? '' : `Parameter ${name} not found.`);
}

export function versionNotFound(name: string, selector: string | number): AwsError {
  return new AwsError(
    'ParameterVersionNotFound',
    `Systems Manager could not find version ${selector} of ${name}. Verify the version and try again.`,
  );
}
