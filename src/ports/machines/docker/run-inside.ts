import { type Engine, EngineError, EngineLost } from './engine.ts';
import { FrameReader } from './frames.ts';

/** Kept of what a script says. */
const most = 64 * 1024;

/**
 * Runs a script of ours in a container and gives what it wrote on standard output; undefined when it could not be run or did not end with 0.
 * @throws EngineLost.
 */
export async function runInside(
  engine: Engine,
  container: string,
  script: string,
  args: string[] = [],
  user = '0:0',
): Promise<string | undefined> {
  const body = { Cmd: ['/bin/sh', '-c', script, 'sh', ...args], User: user, WorkingDir: '/', AttachStdout: true, AttachStderr: false };
  try {
    const { Id } = await engine.call<{ Id: string }>('POST', `/containers/${container}/exec`, { body });
    const socket = await engine.hijack(`/exec/${Id}/start`, { Detach: false, Tty: false });
    const frames = new FrameReader();
    let text = '';
    for await (const chunk of socket) {
      for (const { content } of frames.read(chunk as Buffer)) if (text.length < most) text += content.toString();
    }
    const { ExitCode } = await engine.call<{ ExitCode: number | null }>('GET', `/exec/${Id}/json`);
    return ExitCode === 0 ? text : undefined;
  } catch (error) {
    if (error instanceof EngineError) return undefined;
    throw error instanceof EngineLost ? error : new EngineLost((error as Error).message);
  }
}
