/** The `env` section of a buildspec. */
import type { BuildspecEnv, SecretReference, Shell } from './buildspec.ts';
import { flagAt, lineAt, mapAt, stringMapAt, textAt, textsAt } from './reader.ts';
import { parseSecretReference, SECRET_FORM } from './secret-reference.ts';
import { BuildspecError, type YamlMap } from './yaml-tree.ts';

const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const RESERVED_PREFIX = 'CODEBUILD_';

/** Adds to `warnings` what is let pass. Throws BuildspecError. */
export function readEnv(root: YamlMap, version: '0.1' | '0.2', warnings: string[]): BuildspecEnv {
  const env = mapAt(root, 'env');
  // Version 0.1 had a section of another name, which called the plain ones `plaintext`.
  const plain = [...(version === '0.1' ? [mapAt(mapAt(root, 'environment_variables'), 'plaintext')] : []), mapAt(env, 'variables')];
  for (const section of [...plain, mapAt(env, 'parameter-store'), mapAt(env, 'secrets-manager')]) checkNames(section, warnings);
  const exportedVariables = textsAt(env, 'exported-variables');
  for (const name of exportedVariables) checkName(name, lineAt(env, 'exported-variables'));
  return {
    shell: readShell(env),
    variables: new Map(plain.flatMap((section) => [...stringsOf(section)])),
    parameterStore: stringMapAt(env, 'parameter-store'),
    secretsManager: readSecrets(env),
    exportedVariables,
    gitCredentialHelper: flagAt(env, 'git-credential-helper'),
  };
}

function stringsOf(section: YamlMap): Map<string, string> {
  return new Map([...section.entries.keys()].map((name) => [name, textAt(section, name) ?? '']));
}

function checkNames(section: YamlMap, warnings: string[]): void {
  for (const [name, { line }] of section.entries) {
    checkName(name, line);
    if (name.startsWith(RESERVED_PREFIX)) {
      warnings.push(
        `The variable ${name} on line ${line} of the buildspec may have no effect: names that begin with CODEBUILD_ are reserved`,
      );
    }
  }
}

function checkName(name: string, line: number): void {
  if (!VARIABLE_NAME.test(name)) throw new BuildspecError(`invalid environment variable name '${name}' at line ${line}`);
}

function readShell(env: YamlMap): Shell {
  const text = textAt(env, 'shell');
  switch (text) {
    case undefined:
    case '/bin/sh':
    case 'sh':
      return 'sh';
    case 'bash':
    case '/bin/bash':
      return 'bash';
    case 'powershell.exe':
    case 'cmd.exe':
      throw new BuildspecError(`shell ${text} is only available in Windows build environments, at line ${lineAt(env, 'shell')}`);
    default:
      throw new BuildspecError(`invalid shell '${text}' at line ${lineAt(env, 'shell')}. Expecting: /bin/sh,bash`);
  }
}

function readSecrets(env: YamlMap): Map<string, SecretReference> {
  const section = mapAt(env, 'secrets-manager');
  const secrets = new Map<string, SecretReference>();
  for (const [name, text] of stringsOf(section)) {
    const reference = parseSecretReference(text);
    if (!reference) {
      const line = lineAt(section, name);
      throw new BuildspecError(`invalid secrets-manager reference '${text}' for ${name} at line ${line}. Expecting: ${SECRET_FORM}`);
    }
    secrets.set(name, reference);
  }
  return secrets;
}
