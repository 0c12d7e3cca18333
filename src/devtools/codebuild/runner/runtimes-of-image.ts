/**
 * `/codebuild/image/config/runtimes.yml`, as the images of AWS's project aws-codebuild-docker-images have it: for each runtime its versions
 * with the commands that choose them; `default` has those that install any other, told by `$VERSION`.
 */
import { mapAt, textsAt } from '../buildspec/reader.ts';
import { BuildspecError, parseYaml } from '../buildspec/yaml-tree.ts';
import { BuildFailure } from './outcome.ts';

interface Version {
  commands: string[];
  /** Runtime → versions of it that this one works with. */
  requires: Map<string, string[]>;
}

/** Runtime → version → how it is chosen. */
export type ImageRuntimes = Map<string, Map<string, Version>>;

export interface RuntimeChoice extends Version {
  runtime: string;
  version: string;
  /** `$VERSION` of commands that install what was asked for. */
  ownVersion: string | undefined;
}

const OTHERS = 'default';
/** What an image's commands get as a version that the image does not name itself: it ends up in a shell. */
const OWN_VERSION = /^\d+(?:\.\d+){0,3}$/;

/** Throws BuildspecError. */
export function parseImageRuntimes(text: string): ImageRuntimes {
  const root = parseYaml(text);
  if (root.kind !== 'map') throw new BuildspecError('expected a map');
  const runtimes = mapAt(root, 'runtimes');
  return new Map(
    [...runtimes.entries.keys()].map((name) => {
      const versions = mapAt(mapAt(runtimes, name), 'versions');
      const read = (version: string): Version => {
        const map = mapAt(versions, version);
        const requires = mapAt(map, 'requires');
        const others = [...requires.entries.keys()].map((other) => [other, textsAt(requires, other)] as const);
        return { commands: textsAt(map, 'commands'), requires: new Map(others) };
      };
      return [name, new Map([...versions.entries.keys()].map((version) => [version, read(version)]))];
    }),
  );
}

/** An exact version of the image, `latest`, `3.x` for its newest 3, else any other where the image can install it. Throws BuildFailure. */
export function whichVersion(image: ImageRuntimes, runtime: string, wanted: string): RuntimeChoice {
  const versions = image.get(runtime);
  if (!versions) {
    const there = [...image.keys()].join(', ') || 'none';
    throw new BuildFailure('YAML_FILE_ERROR', `Unknown runtime named '${runtime}'. This build image has the following runtimes: ${there}`);
  }
  const named = [...versions.keys()].filter((version) => version !== OTHERS);
  const stem = wanted.replace(/(\.x)+$/, '');
  const newest = named
    .filter((version) => wanted === 'latest' || version === stem || (stem !== wanted && version.startsWith(`${stem}.`)))
    .sort(byNumbers);
  const version = named.includes(wanted) ? wanted : newest.at(-1);
  if (version !== undefined) return { runtime, version, ...versions.get(version)!, ownVersion: undefined };
  const ownVersion = wanted.replace(/^corretto/, '');
  const others = versions.get(OTHERS);
  if (others && OWN_VERSION.test(ownVersion)) return { runtime, version: wanted, ...others, ownVersion };
  throw new BuildFailure(
    'YAML_FILE_ERROR',
    `Unknown runtime version named '${wanted}' of ${runtime}. This build image has the following versions: ${named.join(', ')}`,
  );
}

/** `corretto8` before `corretto11`, `3.9` before `3.10`. */
function byNumbers(one: string, other: string): number {
  return one.localeCompare(other, 'en', { numeric: true });
}
