import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

const places = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The absolute path of a tool of the system. PATH is not asked: what is found runs with the server's rights. */
export function findProgram(name: string): string | undefined {
  return places.map((place) => join(place, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
