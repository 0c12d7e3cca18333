/** Hosts of a test's own: network namespaces on a bridge that nothing else is on. For root, with iproute2. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { statSync } from 'node:fs';

export interface Host {
  address: string;
  /** Put before a command so that it runs there. It sees this host's files, processes and control groups. */
  inside: string[];
  /** Whether that process runs there. */
  has(pid: number): boolean;
}

export interface TestNetwork extends Disposable {
  /** Never cut off: for what all others need. */
  readonly hub: Host;
  /** The next one. Its address is reachable from the test. */
  addHost(): Host;
  /** Packets to and from it vanish from now on; nobody is told. */
  cutOff(host: Host): void;
  reconnect(host: Host): void;
}

/** Undefined when networks can be made here, else why not. */
export function noNetwork(): string | undefined {
  if (process.getuid?.() !== 0) return 'only root can make network namespaces';
  if (spawnSync('ip', ['-V']).error) return 'iproute2 is not installed';
  const name = `pt-probe-${process.pid}`;
  const { status, stderr } = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' });
  if (status === 0) execFileSync('ip', ['netns', 'delete', name]);
  return status === 0 ? undefined : `no network namespace can be made here: ${stderr.trim()}`;
}

/** The bridge is in a namespace too: firewall rules of this host, such as an engine's, do not reach it. */
export function createNetwork(): TestNetwork {
  // Several tests may do so at once; a name of a link has at most 15 characters.
  const id = randomInt(1, 0xffff).toString(16);
  const subnet = `10.${randomInt(64, 250)}.${randomInt(0, 255)}`;
  const spaces: string[] = [];
  const links = new Map<Host, string>();

  function addSpace(name: string): string {
    const space = `pt${id}-${name}`;
    ip('netns', 'add', space);
    spaces.push(space);
    ip('-n', space, 'link', 'set', 'lo', 'up');
    return space;
  }
  const host = (space: string, number: number): Host => ({
    address: `${subnet}.${number}`,
    inside: ['nsenter', `--net=/run/netns/${space}`, '--'],
    has: (pid) => inodeOf(`/proc/${pid}/ns/net`) === inodeOf(`/run/netns/${space}`),
  });

  const hubSpace = addSpace('hub');
  const uplink = `pt${id}-up`;
  /** With what still runs there. Removing one namespace takes its links with it, and their other ends. */
  const remove = () => {
    for (const space of spaces) {
      const pids = execFileSync('ip', ['netns', 'pids', space], { encoding: 'utf8' }).split('\n').filter(Boolean);
      for (const pid of pids) process.kill(Number(pid), 'SIGKILL');
      ip('netns', 'delete', space);
    }
  };
  try {
    ip('-n', hubSpace, 'link', 'add', 'bridge', 'type', 'bridge');
    ip('-n', hubSpace, 'address', 'add', `${subnet}.1/24`, 'dev', 'bridge');
    ip('-n', hubSpace, 'link', 'set', 'bridge', 'up');
    ip('link', 'add', uplink, 'type', 'veth', 'peer', 'name', 'test', 'netns', hubSpace);
    ip('-n', hubSpace, 'link', 'set', 'test', 'master', 'bridge', 'up');
    ip('address', 'add', `${subnet}.254/24`, 'dev', uplink);
    ip('link', 'set', uplink, 'up');
  } catch (error) {
    remove();
    throw error;
  }
  return {
    hub: host(hubSpace, 1),
    addHost() {
      const number = links.size + 2;
      const space = addSpace(String(number));
      const link = `host${number}`;
      ip('-n', hubSpace, 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
      ip('-n', hubSpace, 'link', 'set', link, 'master', 'bridge', 'up');
      const made = host(space, number);
      ip('-n', space, 'address', 'add', `${made.address}/24`, 'dev', 'eth0');
      ip('-n', space, 'link', 'set', 'eth0', 'up');
      links.set(made, link);
      return made;
    },
    cutOff: (cut) => ip('-n', hubSpace, 'link', 'set', links.get(cut)!, 'down'),
    reconnect: (cut) => ip('-n', hubSpace, 'link', 'set', links.get(cut)!, 'up'),
    [Symbol.dispose]: remove,
  };
}

/** Undefined when it is not there (any more). */
function inodeOf(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.ino;
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
