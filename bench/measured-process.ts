import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'

export interface MeasuredRun {
  readonly seconds: number
  /** The largest resident size in MB; 0 where the system does not tell it. */
  readonly peakMb: number
  /** What it has said on stdout. */
  readonly output: string
}

const LOOK_MS = 200

/**
 * Runs a program to its end and measures that. What it says on stderr is shown, or with `quiet` only when it fails.
 * Rejects when it does not end with 0.
 */
export async function runMeasured(
  command: string,
  args: readonly string[],
  { quiet = false, cwd }: { readonly quiet?: boolean; readonly cwd?: string } = {},
): Promise<MeasuredRun> {
  const startedAt = performance.now()
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', quiet ? 'pipe' : 'inherit'],
    ...(cwd !== undefined && { cwd }),
  })
  let output = ''
  let complaints = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
  child.stderr
    ?.setEncoding('utf8')
    .on('data', (chunk: string) => (complaints = (complaints + chunk).slice(-10_000)))
  const ended = once(child, 'close')
  let peakMb = 0
  while (child.exitCode === null && child.signalCode === null) {
    peakMb = Math.max(peakMb, await residentPeakMb(child.pid))
    let timer: NodeJS.Timeout | undefined
    await Promise.race([ended, new Promise((resolve) => (timer = setTimeout(resolve, LOOK_MS)))])
    clearTimeout(timer)
  }
  await ended
  const seconds = (performance.now() - startedAt) / 1000
  if (child.exitCode !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${child.exitCode}: ${complaints}${output.slice(-2_000)}`,
    )
  }
  return { seconds, peakMb, output }
}

async function residentPeakMb(pid: number | undefined): Promise<number> {
  try {
    const status = await readFile(`/proc/${pid ?? 0}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}
