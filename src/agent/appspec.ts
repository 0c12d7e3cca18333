import { readFile, realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { type Document, isMap, isScalar, parseDocument } from 'yaml';
import { type Permission, parsePermissions } from './appspec-permissions.ts';
import { AppSpecError, messageOf } from './failure.ts';
import { isMissing } from './files.ts';

/** An appspec file for servers, checked. */
export interface AppSpec {
  files: FileMapping[];
  /** In upper case; undefined: the deployment's setting holds. */
  fileExistsBehavior: string | undefined;
  permissions: Permission[];
  hooks: Map<string, HookScript[]>;
}

interface FileMapping {
  /** Relative to the revision. */
  source: string;
  /** The directory that the source, or the source directory's content, goes into. */
  destination: string;
}

export interface HookScript {
  /** Relative to the revision. */
  location: string;
  timeoutSeconds: number;
  runas: string | undefined;
  sudo: boolean;
}

const DEFAULT_TIMEOUT_SECONDS = 3600;

/** Reads the appspec of an unpacked revision; `appspec.yaml` stands in for a missing `appspec.yml`. */
export async function readAppSpec(archive: string, filename: string): Promise<AppSpec> {
  const candidates = filename === 'appspec.yml' ? [filename, 'appspec.yaml'] : [filename];
  for (const candidate of candidates) {
    const path = await insideArchive(archive, candidate);
    if (path !== undefined) return parseAppSpec(await readFile(path, 'utf8'));
  }
  throw new AppSpecError(
    `The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at revision-relative path "${filename}". ` +
      `The revision was unpacked to directory "${archive}", and the AppSpec file was expected but not found at path "${join(archive, filename)}".`,
  );
}

/** The path of something in a revision, or undefined if it is not there. Throws if the name leads out of it, by `..` or by a link. */
export async function insideArchive(archive: string, name: string): Promise<string | undefined> {
  const path = join(archive, name);
  if (path !== archive && path !== `${archive}/` && !path.startsWith(archive + sep)) {
    throw new AppSpecError(`The path ${name} in the application specification file leads out of the revision.`);
  }
  try {
    const [real, top] = await Promise.all([realpath(path), realpath(archive)]);
    if (real !== top && !real.startsWith(top + sep)) {
      throw new AppSpecError(`The path ${name} in the application specification file leads out of the revision by a symbolic link.`);
    }
    return path;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Parses the text of an appspec file. */
export function parseAppSpec(text: string): AppSpec {
  const { document, content } = parseYaml(text);
  if (content.version !== 0) {
    throw new AppSpecError(
      `The deployment failed because an invalid version value (${shown(content.version)}) was entered in the application specification file. ` +
        'Make sure your AppSpec file specifies "0.0" as the version, and then try again.',
    );
  }
  if (content.os !== 'linux') {
    throw new AppSpecError(
      `The deployment failed because the application specification file specifies an unsupported operating system (${shown(content.os)}). ` +
        'Specify either "linux" or "windows" in the os section of the AppSpec file, and then try again.',
    );
  }
  const behavior = content.file_exists_behavior;
  return {
    files: list('files', content.files).map(parseFile),
    fileExistsBehavior: behavior === undefined || behavior === null ? undefined : String(behavior).toUpperCase(),
    permissions: parsePermissions(list('permissions', content.permissions), (index) =>
      sourceText(document, ['permissions', index, 'mode']),
    ),
    hooks: parseHooks(content.hooks ?? {}),
  };
}

function parseYaml(text: string): { document: Document; content: Record<string, unknown> } {
  // The AWS agent reads YAML 1.1, where "yes" is true.
  const document = parseDocument(text, { version: '1.1' });
  const invalid = (reason: string) =>
    new AppSpecError(`The deployment failed because the application specification file is not valid YAML: ${reason}`);
  if (document.errors[0]) throw invalid(document.errors[0].message);
  if (!isMap(document.contents)) throw invalid('it must be a mapping that begins with "version: 0.0".');
  try {
    return { document, content: document.toJS() };
  } catch (error) {
    throw invalid(messageOf(error));
  }
}

/** A scalar as it was written: `0644` stays `0644`, and does not become the number 420. */
function sourceText(document: Document, path: (string | number)[]): string | undefined {
  const node = document.getIn(path, true);
  if (!isScalar(node) || node.value === null) return undefined;
  return typeof node.value === 'number' ? (node.source ?? String(node.value)) : String(node.value);
}

function parseFile(mapping: Record<string, unknown>): FileMapping {
  const { source, destination } = mapping;
  if (source === undefined || source === null) {
    throw new AppSpecError(
      'The deployment failed because the application specification file specifies a destination file, but no source file. ' +
        'Update the files section of the AppSpec file, and then try again.',
    );
  }
  if (destination === undefined || destination === null) {
    throw new AppSpecError(
      `The deployment failed because the application specification file specifies only a source file (${shown(source)}). ` +
        'Add the name of the destination file to the files section of the AppSpec file, and then try again.',
    );
  }
  return { source: String(source), destination: String(destination) };
}

function parseHooks(hooks: unknown): AppSpec['hooks'] {
  if (typeof hooks !== 'object' || hooks === null || Array.isArray(hooks)) {
    throw new AppSpecError(
      'The deployment failed because the hooks section of the application specification file is not a mapping of lifecycle events.',
    );
  }
  return new Map(Object.entries(hooks).map(([event, scripts]) => [event, list(`hooks.${event}`, scripts).map(parseScript)]));
}

function parseScript(script: Record<string, unknown>): HookScript {
  const location = script.location === undefined || script.location === null ? '' : String(script.location).trim();
  if (location === '') {
    throw new AppSpecError(
      'The deployment failed because the application specification file specifies a script with no location value. ' +
        'Specify the location in the hooks section of the AppSpec file, and then try again.',
    );
  }
  const timeout = Number.parseInt(String(script.timeout ?? DEFAULT_TIMEOUT_SECONDS), 10);
  if (!(timeout > 0)) {
    throw new AppSpecError(
      'The deployment failed because an invalid timeout value was provided for a script in the application specification file. ' +
        'Make corrections in the hooks section of the AppSpec file, and then try again.',
    );
  }
  const runas = script.runas === undefined || script.runas === null ? '' : String(script.runas).trim();
  return { location, timeoutSeconds: timeout, runas: runas === '' ? undefined : runas, sudo: Boolean(script.sudo) };
}

function list(section: string, value: unknown): Record<string, unknown>[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'object' || item === null || Array.isArray(item))) {
    throw new AppSpecError(`The deployment failed because ${section} in the application specification file is not a list of mappings.`);
  }
  return value;
}

function shown(value: unknown): string {
  return value === undefined || value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value);
}
