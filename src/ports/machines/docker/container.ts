import { posix } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { cpuPeriod } from '../cgroup-files.ts';
import type { MachineSpec } from '../port.ts';
import { type Engine, EngineError } from './engine.ts';
import type { InspectedImage } from './images.ts';

/** Labels by which a machine's container is found again, and what it needs to be gone on with. */
export const labels = { server: 'penstock.server', machine: 'penstock.machine', state: 'penstock.state' };

/** What is kept of a machine with its container. The image's credentials are not. */
export interface ContainerState {
  env: Record<string, string>;
  image: string;
  isolation: string;
  /** Whether a memory limit was asked for. */
  memoryLimited: boolean;
}

/** Absolute, inside; the engine makes it. */
export const workdir = '/work';

/** Of root, who runs the commands; absolute, inside. */
export const home = '/root';

/** With this status the keeper leaves when the machine is stopped on purpose; anything else is an accident, and adopt starts it again. */
export const stoppedStatus = 41;

/**
 * Keeps the container alive and does nothing else. It ends by itself only on USR1; TERM, which everybody inside gets when the machine is
 * stopped, is not for it.
 */
const keeper = `trap '' TERM; trap 'exit ${stoppedStatus}' USR1; while :; do sleep 2147483647 & wait $!; done`;

/** The init process, the keeper and its sleep; and one that ends others. They do not count against the machine's limit. */
const ownProcesses = 6;

/** Engine API, ContainerInspect. */
export interface InspectedContainer {
  Id: string;
  Config: { Labels: Record<string, string> | null };
  State: { Status: string; Running: boolean; ExitCode: number };
  /** Of those that run. */
  ExecIDs: string[] | null;
}

/** Engine API, ExecInspect. */
export interface InspectedExec {
  Running: boolean;
  ExitCode: number | null;
  ProcessConfig: { arguments?: string[]; user?: string };
}

/** The body of ContainerCreate. */
export function containerOf(spec: MachineSpec, name: string, image: InspectedImage, own: Record<string, string>): object {
  const { memoryBytes, cpus, pids } = spec.limits ?? {};
  return {
    Image: name,
    Entrypoint: ['/bin/sh', '-c', keeper],
    Cmd: [],
    User: '0:0',
    WorkingDir: workdir,
    Hostname: spec.network === 'host' ? undefined : 'build',
    Labels: own,
    StopSignal: 'SIGKILL',
    // Podman without systemd complains of any, even of none.
    ...(image.Config?.Healthcheck ? { Healthcheck: { Test: ['NONE'] } } : {}),
    HostConfig: {
      Init: true,
      NetworkMode: spec.network,
      RestartPolicy: { Name: 'no' },
      // What the keeper says is nothing, and what commands say does not go there.
      LogConfig: { Type: 'none' },
      Mounts: (spec.mounts ?? []).map(({ source, target, readOnly }) => ({
        Type: 'bind',
        Source: source,
        Target: posix.resolve(workdir, target),
        ReadOnly: readOnly ?? false,
      })),
      ...(memoryBytes === undefined ? {} : { Memory: memoryBytes, MemorySwap: memoryBytes }),
      // As a quota: of NanoCpus the engine takes no more than the host has.
      ...(cpus === undefined ? {} : { CpuPeriod: cpuPeriod, CpuQuota: Math.ceil(cpus * cpuPeriod) }),
      ...(pids === undefined ? {} : { PidsLimit: pids + ownProcesses }),
      ...(spec.privileged ? { Privileged: true } : {}),
      ...(spec.gpus === undefined ? {} : { DeviceRequests: [gpuRequest(spec.gpus)] }),
    },
  };
}

function gpuRequest(gpus: number | 'all'): object {
  return { Driver: '', Count: gpus === 'all' ? -1 : gpus, Capabilities: [['gpu']] };
}

/** How long the removal by somebody else is waited for. */
const removalMs = 60_000;

/** How long a keeper that was asked to may take; then its machine has got at it. */
const keeperMs = 2000;

/** Ends the container with all that runs in it, on purpose, as its status tells later. Idempotent. */
export async function endContainer(engine: Engine, container: string): Promise<void> {
  await signalContainer(engine, container, 'SIGUSR1');
  const patience = AbortSignal.timeout(keeperMs);
  try {
    await ended(engine, container, patience);
  } catch (error) {
    if (!patience.aborted) throw error;
    await signalContainer(engine, container, 'SIGKILL');
    await ended(engine, container);
  }
}

async function signalContainer(engine: Engine, container: string, signal: NodeJS.Signals): Promise<void> {
  try {
    await engine.call('POST', `/containers/${container}/kill`, { query: { signal } });
  } catch (error) {
    // 404: it is gone; 409, on Podman 500: it does not run.
    if (!(error instanceof EngineError)) throw error;
  }
}

async function ended(engine: Engine, container: string, signal?: AbortSignal): Promise<void> {
  try {
    await engine.call('POST', `/containers/${container}/wait`, { query: { condition: 'not-running' }, signal });
  } catch (error) {
    if (!(error instanceof EngineError && error.status === 404)) throw error;
  }
}

/** Removes it with its volumes, whatever it does. Idempotent. */
export async function removeContainer(engine: Engine, container: string): Promise<void> {
  const gone = async (): Promise<boolean> => {
    try {
      await engine.call('DELETE', `/containers/${container}`, { query: { force: 'true', v: 'true' } });
      return true;
    } catch (error) {
      if (!(error instanceof EngineError)) throw error;
      if (error.status === 404) return true;
      // Somebody else is removing it at this moment; anything else is told.
      if (error.status !== 409) throw error;
    }
    return false;
  };
  const deadline = performance.now() + removalMs;
  while (!(await gone())) {
    if (performance.now() > deadline) throw new Error(`the container ${container} cannot be removed`);
    await delay(100);
  }
}
