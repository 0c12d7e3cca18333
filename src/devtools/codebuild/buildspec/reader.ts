/** Reading typed values out of the YAML tree, with the complaints that name key and line. */
import { BuildspecError, type YamlMap, type YamlNode } from './yaml-tree.ts';

const EMPTY: YamlMap = { kind: 'map', entries: new Map(), line: 0 };

/** A map, or an empty one where the value is missing or empty. */
export function mapAt(parent: YamlMap, key: string): YamlMap {
  const node = parent.entries.get(key)?.node;
  if (!node || (node.kind === 'scalar' && node.isNull)) return EMPTY;
  if (node.kind !== 'map') throw new BuildspecError(`expected ${key} to be a map at line ${node.line}`);
  return node;
}

export function has(parent: YamlMap, key: string): boolean {
  return parent.entries.has(key);
}

export function textAt(parent: YamlMap, key: string): string | undefined {
  const node = parent.entries.get(key)?.node;
  if (!node || (node.kind === 'scalar' && node.isNull)) return undefined;
  if (node.kind !== 'scalar') throw new BuildspecError(`expected ${key} to be of string type at line ${node.line}`);
  return node.text;
}

export function lineAt(parent: YamlMap, key: string): number {
  return parent.entries.get(key)?.line ?? parent.line;
}

/** yes/no as CodeBuild takes them; anything else is an error rather than a guess. */
export function flagAt(parent: YamlMap, key: string): boolean {
  const text = textAt(parent, key);
  if (text === undefined) return false;
  if (/^(yes|true|on|y)$/i.test(text)) return true;
  if (/^(no|false|off|n)$/i.test(text)) return false;
  throw new BuildspecError(`invalid value '${text}' for ${key} at line ${lineAt(parent, key)}. Expecting: no,yes`);
}

/** A list of strings; a single string stands for a list of one. */
export function textsAt(parent: YamlMap, key: string, label = key): string[] {
  const entry = parent.entries.get(key);
  if (!entry) return [];
  const { node } = entry;
  if (node.kind === 'scalar') return node.isNull ? [] : [node.text];
  if (node.kind === 'map') throw new BuildspecError(`expected ${label} to be a sequence at line ${node.line}`);
  return node.items.map((item, index) => listedText(item, label, index, entry.line));
}

function listedText(item: YamlNode, label: string, index: number, keyLine: number): string {
  if (item.kind === 'scalar') return item.text;
  // The wording users search for; the usual cause is an unquoted `echo "a: b"`.
  throw new BuildspecError(
    `Expected ${capitalised(label)}[${index}] to be of string type: found subkeys instead at line ${item.line}, ` +
      `value of the key tag on line ${Math.max(keyLine, item.line - 1)} might be empty`,
  );
}

export function stringMapAt(parent: YamlMap, key: string): Map<string, string> {
  const map = mapAt(parent, key);
  const result = new Map<string, string>();
  for (const name of map.entries.keys()) result.set(name, textAt(map, name) ?? '');
  return result;
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
